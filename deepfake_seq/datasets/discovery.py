"""Videos found in files and folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from deepfake_seq.datasets.celeb_df import groups_of
from deepfake_seq.datasets.folders import label_of
from deepfake_seq.datasets.items import VideoItem
from deepfake_seq.errors import DatasetError, UsageError

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".3gp", ".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv",
    ".ts", ".webm", ".wmv",
})
# fmt: on


def discover(
    paths: Sequence[Path], *, follow_links: bool = False
) -> tuple[list[VideoItem], list[Path]]:
    """Find the videos at `paths`, in a fixed order.

    A folder is searched to its bottom for files with a video's suffix; a file is taken whatever it
    is called. The label comes from the nearest folder with a telling name (`real`, `fake`,
    `Celeb-real`, `YouTube-real`, `Celeb-synthesis`; case does not matter); `recognise` knows more.

    Args:
        paths: Files and folders.
        follow_links: Whether to take files by links that lead out of `paths`, too.

    Returns:
        The videos, and the links that were left out.

    Raises:
        UsageError: A path does not exist, or two files would get the same `video_id`.
        DatasetError: There is no video at all.
    """
    items: dict[str, VideoItem] = {}
    seen: set[Path] = set()
    links: list[Path] = []
    roots = [path.resolve() for path in paths]

    def is_open(path: Path) -> bool:
        """Whether what a path leads to may be taken; notes it if not."""
        real = path.resolve()
        if follow_links or any(real.is_relative_to(root) for root in roots):
            return True
        links.append(path)
        return False

    for given in paths:
        for item in _find(given, is_open):
            real = item.path.resolve()
            if not is_open(item.path):
                continue
            if real in seen:
                continue  # the same file through another root
            seen.add(real)
            twin = items.setdefault(item.video_id, item)
            if twin is not item:
                raise UsageError(
                    f"two videos would both be called {item.video_id}: {twin.path} and "
                    f"{item.path}. Give the folder that holds both instead."
                )
    if not items:
        where = ", ".join(str(path) for path in paths)
        raise DatasetError(
            f"no videos found in {where}: looked for {' '.join(sorted(VIDEO_SUFFIXES))}. "
            "Name the files themselves if they end differently."
            + (f" {len(links)} links lead out of there: --follow-links." if links else "")
        )
    return [items[video_id] for video_id in sorted(items)], links


def _find(given: Path, is_open: Callable[[Path], bool]) -> Iterator[VideoItem]:
    if given.is_dir():
        for path in _walk(given, is_open):
            yield _item(path, path.relative_to(given))
    elif given.exists():
        yield _item(given, Path(given.name))
    else:
        raise UsageError(f"no such file or folder: {given}")


def _item(path: Path, relative: Path) -> VideoItem:
    item = VideoItem(path, relative.as_posix())
    # Only the root's own name may tell a label, not the folders above it: a data set that lies in
    # /home/real/ is not all real.
    telling = Path(item.root.name, relative)
    return replace(item, label=label_of(telling), groups=groups_of(telling))


def _walk(folder: Path, is_open: Callable[[Path], bool]) -> Iterator[Path]:
    been: set[Path] = set()
    for directory, subdirectories, names in os.walk(folder, followlinks=True):
        here = Path(directory)
        if here.resolve() in been:  # a link that leads back
            subdirectories.clear()
            continue
        been.add(here.resolve())
        subdirectories[:] = sorted(
            name
            for name in subdirectories
            if not name.startswith(".") and (not (here / name).is_symlink() or is_open(here / name))
        )
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in VIDEO_SUFFIXES:
                yield here / name
