"""Choose one path for each file that is found under several, through links."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path

from deepfake_seq.datasets.items import LABEL_NAMES, UNKNOWN, VideoItem
from deepfake_seq.errors import DatasetError


def file_identity(path: Path) -> Hashable:
    """Return a value that is equal for paths of the same file, through symbolic or hard links."""
    try:
        status = path.stat()
    except OSError:  # the file vanished: extraction reports it
        return path
    return (status.st_dev, status.st_ino) if status.st_nlink > 1 else path.resolve()


def one_per_file(items: Sequence[VideoItem]) -> list[VideoItem]:
    """Return each file once, sorted by `video_id`, with all that its paths tell about it.

    The path that is kept has a label if any has one; then one in a published data set, with groups,
    with a split, that contains no link, and last the first in alphabetical order of `video_id`.
    Groups of all paths are joined.

    Raises:
        DatasetError: Paths of the same file have different labels or splits.
    """
    paths_by_file: dict[Hashable, list[VideoItem]] = defaultdict(list)
    for item in items:
        paths_by_file[file_identity(item.path)].append(item)
    _check(list(paths_by_file.values()))
    kept = [_merge(paths) if len(paths) > 1 else paths[0] for paths in paths_by_file.values()]
    return sorted(kept, key=lambda item: item.video_id)


def _merge(paths: Sequence[VideoItem]) -> VideoItem:
    ranked = sorted(paths, key=_rank)
    groups = dict.fromkeys(group for item in ranked for group in item.groups)
    split = next((item.split for item in ranked if item.split), "")
    return replace(ranked[0], groups=tuple(groups), split=split)


def _rank(item: VideoItem) -> tuple[bool, bool, bool, bool, bool, str]:
    return (
        item.label == UNKNOWN,
        not item.dataset,
        not item.groups,
        not item.split,
        item.absolute != item.path.resolve(),
        item.video_id,
    )


def _check(files: Sequence[Sequence[VideoItem]]) -> None:
    wrong = []
    for paths in files:
        labels = {LABEL_NAMES[item.label]: item for item in paths if item.label != UNKNOWN}
        splits = {item.split: item for item in paths if item.split}
        wrong += [named for named in (labels, splits) if len(named) > 1]
    if wrong:
        more = f" {len(wrong) - 1} more files are contradictory." if len(wrong) > 1 else ""
        named = " and ".join(f"{name} as {item.path}" for name, item in wrong[0].items())
        raise DatasetError(
            "paths of the same file, through links, contradict each other. Remove the wrong link, "
            f"or give the labels with --labels.{more} Received: {named}"
        )
