"""Layout of Celeb-DF v1 and v2: https://github.com/yuezunli/celeb-deepfakeforensics."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deepfake_seq.datasets.items import FAKE, LABEL_NAMES, REAL, VideoItem
from deepfake_seq.datasets.layout import Coverage, DataSet
from deepfake_seq.datasets.lists import abbreviate, find_list, is_file_name, read_text
from deepfake_seq.errors import DatasetError

NAME = "celeb-df"
LOOKS_FOR = "videos in folders called Celeb-real, Celeb-synthesis or YouTube-real"

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

_Key = tuple[str, str]
"""Folder and file name of a video, in lower case."""


def groups_of(path: Path) -> tuple[str, ...]:
    """Return the identities in a Celeb-DF file name; empty for other files.

    `Celeb-synthesis/id0_id1_0003.mp4` combines the face of one identity with the video of the
    other, so it belongs to both.
    """
    if not path.parent.name.lower().startswith("celeb-"):
        return ()
    match = _NAME.fullmatch(path.stem)
    return tuple(name for name in match.groups() if name) if match else ()


def home(folder: Path, root: Path) -> Path | None:
    """Return the parent of a folder named like one of Celeb-DF's three; see `Layout`."""
    del root
    return folder.parent if folder.name.lower() in FOLDER_LABELS else None


def read(home: Path, items: Sequence[VideoItem]) -> DataSet:
    """Read labels from folder names, check them against the test list, and mark the test split."""
    path = find_list(home, LIST)
    listed = _parse_list(path) if path else set()
    version = _version(home, len(listed))
    name = f"{NAME}-v{version}"
    labelled = [_labelled(item, listed, name) for item in items]
    counts = Counter(item.absolute.parent.name.lower() for item in items)
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


def _labelled(item: VideoItem, listed: set[_Key], dataset: str) -> VideoItem:
    path = item.absolute
    folder = path.parent.name.lower()
    label = FOLDER_LABELS[folder]
    return replace(
        item,
        label=label,
        groups=groups_of(path),
        split="test" if (folder, path.name.lower()) in listed else "",
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
