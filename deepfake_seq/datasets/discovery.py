"""Find videos in files and folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepfake_seq.config import VIDEO_SUFFIXES
from deepfake_seq.datasets.items import VideoItem, absolute
from deepfake_seq.datasets.left_out import LeftOut
from deepfake_seq.errors import DatasetError, UsageError

MAX_FOLDER_NAMES = 100
"""Maximum number of names, through links, of one folder; more would make the search endless."""

_SYSTEM_NAMES = frozenset(
    {"__macosx", "@eadir", "$recycle.bin", "system volume information", "thumbs.db", "desktop.ini"}
)
"""Files and folders made by operating systems, in lower case; they are skipped like dot files."""


@dataclass(frozen=True)
class Discovery:
    """Result of a search for videos.

    Attributes:
        items: Videos by every path that leads to them, sorted by `video_id`. Labels are unknown.
        left_out: Files, links and folders that are not used.
    """

    items: tuple[VideoItem, ...]
    left_out: LeftOut


def discover(paths: Sequence[Path], *, follow_links: bool = False) -> Discovery:
    """Find the videos at `paths`.

    Folders are searched recursively for files with a suffix in `config.VIDEO_SUFFIXES`; a file
    given directly is taken whatever its suffix. Dot files and the folders of operating systems
    (`__MACOSX`) are skipped. A file with several paths, through links, is found at each of them;
    `one_per_file` chooses.

    Args:
        paths: Files and folders.
        follow_links: Whether to follow symbolic links that lead out of `paths`.

    Raises:
        UsageError: A path does not exist, or two files would get the same `video_id`.
        DatasetError: No video was found, or links give a folder more than 100 names.
    """
    search = _Search(paths, follow_links)
    # The outermost folder first, so that it gives the ids of videos that are in several folders.
    for path in sorted(paths, key=lambda path: len(absolute(path).parts)):
        if path.is_dir():
            search.add_folder(path)
        elif path.exists():
            search.add_video(path, path.parent)
        else:
            raise UsageError(f"no such file or folder: {path}")
    if not search.items:
        where = ", ".join(str(path) for path in paths)
        left_out = "".join(f" Left out: {line}." for line in search.left_out.lines())
        raise DatasetError(
            f"no videos found in {where}: no file has the suffix of a supported video, such as "
            f".mp4, .mov or .mkv. Give files with other suffixes one by one.{left_out}"
        )
    items = sorted(search.items.values(), key=lambda item: (item.video_id, str(item.path)))
    _check_ids(items)
    return Discovery(tuple(items), search.left_out)


class _Search:
    """State of a search: the videos found so far by absolute path, and what was left out."""

    def __init__(self, roots: Sequence[Path], follow_links: bool) -> None:
        self.items: dict[Path, VideoItem] = {}
        self.left_out = LeftOut()
        self._allowed = None if follow_links else [root.resolve() for root in roots]
        self._searched: set[Path] = set()
        self._names = Counter[Path]()

    def add_video(self, path: Path, root: Path) -> None:
        """Add a video, unless it was found before."""
        item = VideoItem(path, path.relative_to(root).as_posix())
        self.items.setdefault(item.absolute, item)

    def add_folder(self, root: Path) -> None:
        """Add all videos under a folder, at any depth."""
        folders: list[tuple[Path, frozenset[Path]]] = [(root, frozenset())]
        while folders:
            folder, above = folders.pop()
            real = folder.resolve()
            if real in above or absolute(folder) in self._searched:
                continue  # a link back to a folder above, or a folder that is given twice
            self._searched.add(absolute(folder))
            self._names[real] += 1
            if self._names[real] > MAX_FOLDER_NAMES:
                raise DatasetError(
                    f"links give a folder more than {MAX_FOLDER_NAMES} names. Remove links in "
                    f"{root}. Received: {real}"
                )
            subfolders = []
            for path in self._entries(folder):
                if path.is_dir():
                    subfolders.append((path, above | {real}))
                elif path.suffix.lower() in VIDEO_SUFFIXES:
                    self.add_video(path, root)
                else:
                    self.left_out.add_file(path)
            folders += reversed(subfolders)

    def _entries(self, folder: Path) -> Iterator[Path]:
        """Yield the usable files and folders in a folder, by name."""
        if not os.access(folder, os.R_OK | os.X_OK):
            self.left_out.unreadable.append(folder)
            return
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or path.name.lower() in _SYSTEM_NAMES:
                continue
            if not _is_text(path.name):
                self.left_out.bad_names.append(path)
            elif not path.is_symlink() or self._is_usable(path):
                yield path

    def _is_usable(self, link: Path) -> bool:
        """Return whether a link may be followed; if not, note why."""
        if not link.exists():
            self.left_out.broken_links.append(link)
            return False
        real = link.resolve()
        if self._allowed and not any(real.is_relative_to(root) for root in self._allowed):
            self.left_out.links.append(link)
            return False
        return True


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_ids(items: Sequence[VideoItem]) -> None:
    """Raise an error if two files would get the same id."""
    by_id: dict[str, VideoItem] = {}
    for item in items:
        first = by_id.setdefault(item.video_id, item)
        if first is not item and first.path.resolve() != item.path.resolve():
            raise UsageError(
                f"two videos would have the same id {item.video_id}: {first.path} and {item.path}. "
                "Give a folder that contains both instead."
            )
