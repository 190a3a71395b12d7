"""Layout of Celeb-DF v1 and v2: https://github.com/yuezunli/celeb-deepfakeforensics."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from deepfake_seq.datasets.items import FAKE, LABEL_NAMES, REAL, UNKNOWN, VideoItem
from deepfake_seq.datasets.layout import Coverage, DataSet
from deepfake_seq.datasets.lists import abbreviate, find_list, is_file_name, read_text
from deepfake_seq.datasets.words import Words, read_words
from deepfake_seq.errors import DatasetError

NAME = "celeb-df"
LOOKS_FOR = "videos in or below folders called Celeb-real, Celeb-synthesis or YouTube-real"

FOLDER_LABELS = {"celeb-real": REAL, "youtube-real": REAL, "celeb-synthesis": FAKE}
"""Label of the videos in each folder, by its lower-case name."""

LIST = "List_of_testing_videos.txt"

_PUBLISHED = {
    1: {"Celeb-real": 158, "YouTube-real": 250, "Celeb-synthesis": 795},
    2: {"Celeb-real": 590, "YouTube-real": 300, "Celeb-synthesis": 5639},
}
_VERSION_BY_LISTED = {100: 1, 518: 2}
_LABEL_IN_LIST = {"1": REAL, "0": FAKE}  # the opposite of every other place
_LINE = re.compile(r"([01])\s+([^/\s]+)/([^/]+)")
_NAME = re.compile(r"(id\d+)(?:_(id\d+))?_\d+")

_LEVELS = 3
"""Number of folders above Celeb-real and the others that are searched for the test list."""

_Key = tuple[str, str]
"""Celeb-DF's folder and the file name of a video, in lower case."""


def groups_of(path: Path) -> tuple[str, ...]:
    """Return the identities in a Celeb-DF file name; empty for other files.

    `Celeb-synthesis/id0_id1_0003.mp4` combines the face of one identity with the video of the
    other, so it belongs to both.
    """
    folder = _celeb_folder(path.parent)
    if folder is None or not folder.name.lower().startswith("celeb-"):
        return ()
    match = _NAME.fullmatch(path.stem)
    return tuple(name for name in match.groups() if name) if match else ()


def home(folder: Path, root: Path) -> Path | None:
    """Return the folder of the test list above Celeb-DF's three folders, or their parent.

    See `Layout`.
    """
    del root
    celeb = _celeb_folder(folder)
    if celeb is None:
        return None
    above = [level for level in celeb.parents[:_LEVELS] if os.access(level, os.R_OK)]
    return next((level for level in above if find_list(level, LIST)), celeb.parent)


@lru_cache(maxsize=4096)
def _celeb_folder(folder: Path) -> Path | None:
    """Return the nearest of Celeb-DF's three folders, unless a folder below it contradicts it."""
    below: list[Words] = []
    for level in (folder, *folder.parents):
        label = FOLDER_LABELS.get(level.name.lower())
        if label is not None:
            is_contradicted = any(
                words.is_contradictory or words.label not in (label, UNKNOWN) for words in below
            )
            return None if is_contradicted else level
        below.append(read_words(level.name))
    return None


def read(home: Path, items: Sequence[VideoItem]) -> DataSet:
    """Read labels from folder names, check them against the test list, and mark the test split."""
    path = find_list(home, LIST)
    listed = _parse_list(path) if path else set()
    version = _version(home, len(listed))
    name = f"{NAME}-v{version}"
    labelled, counts = [], Counter[str]()
    for item in items:
        if celeb := _celeb_folder(item.absolute.parent):
            counts[celeb.name.lower()] += 1
            labelled.append(_labelled(item, celeb.name.lower(), listed, name))
    coverage = [
        Coverage(folder, counts[folder.lower()], published)
        for folder, published in _PUBLISHED[version].items()
    ]
    if path is None:
        notes = (f"no {LIST} in {home}: no official split",)
        return DataSet(NAME, name, home, tuple(labelled), tuple(coverage), notes)
    test_count = sum(item.split == "test" for item in labelled)
    coverage.append(Coverage("test list", test_count, len(listed)))
    return DataSet(NAME, name, home, tuple(labelled), tuple(coverage))


def _labelled(item: VideoItem, folder: str, listed: set[_Key], dataset: str) -> VideoItem:
    label = FOLDER_LABELS[folder]
    return replace(
        item,
        label=label,
        groups=groups_of(item.absolute),
        split="test" if (folder, item.path.name.lower()) in listed else "",
        method="Celeb-synthesis" if label == FAKE else "",
        dataset=dataset,
    )


def _version(home: Path, listed: int) -> int:
    """Return the version, from the length of the test list or the folder's name; 2 by default."""
    named = re.search(r"v([12])\b", home.name.lower())
    return _VERSION_BY_LISTED.get(listed) or (int(named[1]) if named else 2)


def _parse_list(path: Path) -> set[_Key]:
    """Return the videos in the test list; check each label against the label of its folder."""
    listed = set()
    for number, text in enumerate(read_text(path).splitlines(), start=1):
        line = text.strip()
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if not match or match[2].lower() not in FOLDER_LABELS or not is_file_name(match[3]):
            raise DatasetError(
                f"{path}:{number}: not a line such as `1 YouTube-real/00170.mp4`. Download the "
                f"list again. Received: {abbreviate(line)}"
            )
        label, folder_label = _LABEL_IN_LIST[match[1]], FOLDER_LABELS[match[2].lower()]
        if label != folder_label:
            raise DatasetError(
                f"{path}:{number}: the list labels this video {LABEL_NAMES[label]} ({match[1]}; 1 "
                f"means real in this list), but videos in {match[2]} are "
                f"{LABEL_NAMES[folder_label]}. Download the list again, or delete it to use no "
                "official split. "
                f"Received: {abbreviate(line)}"
            )
        listed.add((match[2].lower(), match[3].lower()))
    return listed
