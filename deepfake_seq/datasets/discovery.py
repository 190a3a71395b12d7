"""Find videos in files and folders."""

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
    """Find the videos at `paths`, sorted by `video_id`.

    Folders are searched recursively for files with a video suffix; a file given directly is taken
    whatever its suffix. The label comes from the nearest folder called `real`, `fake`,
    `Celeb-real`, `YouTube-real` or `Celeb-synthesis`, in any case. `recognise` reads the labels of
    other data sets.

    Args:
        paths: Files and folders.
        follow_links: Whether to follow symbolic links that lead out of `paths`.

    Returns:
        The videos, and the links that were skipped.

    Raises:
        UsageError: A path does not exist, or two files would get the same `video_id`.
        DatasetError: No video was found.
    """
    items: dict[str, VideoItem] = {}
    seen: set[Path] = set()
    links: list[Path] = []
    roots = [path.resolve() for path in paths]

    def is_allowed(path: Path) -> bool:
        """Return whether the target of a path may be used; if not, add it to `links`."""
        real = path.resolve()
        if follow_links or any(real.is_relative_to(root) for root in roots):
            return True
        links.append(path)
        return False

    for path in paths:
        for item in _find(path, is_allowed):
            real = item.path.resolve()
            if not is_allowed(item.path):
                continue
            if real in seen:
                continue  # the same file at another path
            seen.add(real)
            existing = items.setdefault(item.video_id, item)
            if existing is not item:
                raise UsageError(
                    f"two videos would have the same id {item.video_id}: {existing.path} and "
                    f"{item.path}. Give a folder that contains both instead."
                )
    if not items:
        where = ", ".join(str(path) for path in paths)
        raise DatasetError(
            f"no videos found in {where}: looked for {' '.join(sorted(VIDEO_SUFFIXES))}. "
            "Give files with other suffixes one by one."
            + (f" Use --follow-links for {len(links)} links that lead elsewhere." if links else "")
        )
    return [items[video_id] for video_id in sorted(items)], links


def _find(path: Path, is_allowed: Callable[[Path], bool]) -> Iterator[VideoItem]:
    if path.is_dir():
        for video in _walk(path, is_allowed):
            yield _item(video, video.relative_to(path))
    elif path.exists():
        yield _item(path, Path(path.name))
    else:
        raise UsageError(f"no such file or folder: {path}")


def _item(path: Path, relative: Path) -> VideoItem:
    item = VideoItem(path, relative.as_posix())
    # Folders above the root must not set the label: not every data set in /home/real/ is real.
    labelled_path = Path(item.root.name, relative)
    return replace(item, label=label_of(labelled_path), groups=groups_of(labelled_path))


def _walk(folder: Path, is_allowed: Callable[[Path], bool]) -> Iterator[Path]:
    visited: set[Path] = set()
    for directory, subdirectories, names in os.walk(folder, followlinks=True):
        here = Path(directory)
        if here.resolve() in visited:  # a link back to a folder above
            subdirectories.clear()
            continue
        visited.add(here.resolve())
        subdirectories[:] = sorted(
            name
            for name in subdirectories
            if not name.startswith(".")
            and (not (here / name).is_symlink() or is_allowed(here / name))
        )
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in VIDEO_SUFFIXES:
                yield here / name
