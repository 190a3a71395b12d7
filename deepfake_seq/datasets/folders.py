"""Layout of plain folders: names such as `real`, `fake` or `original_videos` set the label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from deepfake_seq.datasets import celeb_df
from deepfake_seq.datasets.items import FAKE, LABEL_NAMES, REAL, UNKNOWN, VideoItem
from deepfake_seq.datasets.layout import DataSet
from deepfake_seq.datasets.words import Words, is_topic, looks_like_class, read_words

NAME = "folders"
LOOKS_FOR = "videos"

_MAX_NAMES = 5

LabelFolder = tuple[int, Path | None]
"""Label of a video, and the folder that gives it."""


def home(folder: Path, root: Path) -> Path | None:
    """Return the root of the search: any folder matches; see `Layout`."""
    del folder
    return root


def read(home: Path, items: Sequence[VideoItem]) -> DataSet:
    """Label each video by the nearest folder whose name tells a class; see `label_finder`."""
    find_label = label_finder()
    labelled = []
    folders: dict[int, Counter[str]] = {REAL: Counter(), FAKE: Counter()}
    for item in items:
        label, folder = find_label(item)
        if folder:
            folders[label][folder.name] += 1
        labelled.append(replace(item, label=label, groups=celeb_df.groups_of(item.absolute)))
    notes = [
        f"{LABEL_NAMES[label]} by the folder name: {list_counts(counts)}"
        for label, counts in folders.items()
        if counts
    ]
    return DataSet(NAME, NAME, home, tuple(labelled), notes=tuple(notes))


def label_finder() -> Callable[[VideoItem], LabelFolder]:
    """Return a function that finds the label of a video and the folder that gives it.

    The nearest folder with a class word in its name decides, from the folder of the file to the
    root of the search; a name with words of both classes gives no label. Some names are doubtful:
    those with words that may change the meaning, such as `fake_sora`; and `deepfake` or `deepfakes`
    if it is the root or contains a folder of real videos, as people also name projects so. They
    count only next to a folder of the other class, such as `real`, and not against the folders
    above them. The function remembers folders.
    """

    @cache
    def read_folder(folder: Path, is_root: bool) -> Words:
        words = read_words(folder.name)
        is_doubtful = not words.is_certain or (
            is_topic(folder.name) and (is_root or REAL in _labels_in(folder))
        )
        if words.label == UNKNOWN or not is_doubtful:
            return words
        opposite = FAKE if words.label == REAL else REAL
        return words._replace(is_certain=opposite in _labels_in(folder.parent))

    @cache
    def find(folder: Path, root: Path) -> LabelFolder:
        doubtful = UNKNOWN
        for candidate in _up_to(folder, root):
            words = read_folder(candidate, candidate == root)
            if words.is_contradictory:
                break
            if words.is_certain:
                agrees = doubtful in (UNKNOWN, words.label)
                return (words.label, candidate) if agrees else (UNKNOWN, None)
            if words.label != UNKNOWN:
                if doubtful not in (UNKNOWN, words.label):
                    break
                doubtful = words.label
        return UNKNOWN, None

    return lambda item: find(item.absolute.parent, item.root)


def unrecognised_classes(items: Sequence[VideoItem]) -> Counter[str]:
    """Return folders that look like classes but give their videos no label, with their counts."""
    folders = Counter[str]()
    for item in items:
        if item.label == UNKNOWN:
            for folder in _up_to(item.absolute.parent, item.root):
                if looks_like_class(folder.name):
                    folders[folder.relative_to(item.root.parent).as_posix()] += 1
                    break
    return folders


def list_counts(counts: Counter[str]) -> str:
    """Format counts as `real_videos (12), originals (3)`, the largest first, at most five."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{name} ({count:,})" for name, count in ordered[:_MAX_NAMES]]
    return ", ".join([*shown, *(["…"] if len(ordered) > _MAX_NAMES else [])])


def _up_to(folder: Path, root: Path) -> Iterator[Path]:
    """Yield a folder and those above it, the last one being `root`."""
    for candidate in (folder, *folder.parents):
        yield candidate
        if candidate == root:
            return


def _labels_in(folder: Path) -> set[int]:
    """Return the labels that the names of the folders in a folder tell."""
    try:
        return {read_words(path.name).label for path in folder.iterdir() if path.is_dir()}
    except OSError:
        return set()
