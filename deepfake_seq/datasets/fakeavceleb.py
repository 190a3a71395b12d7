"""Layout of FakeAVCeleb: https://github.com/DASH-Lab/FakeAVCeleb."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from deepfake_seq.datasets.items import FAKE, REAL, VideoItem
from deepfake_seq.datasets.layout import Coverage, DataSet
from deepfake_seq.datasets.lists import abbreviate, find_list, read_table
from deepfake_seq.errors import DatasetError

NAME = "fakeavceleb"
LOOKS_FOR = (
    "videos below folders called RealVideo-RealAudio, RealVideo-FakeAudio, FakeVideo-RealAudio or "
    "FakeVideo-FakeAudio"
)

METADATA = "meta_data.csv"

_FAKE_AUDIO_ONLY = "RealVideo-FakeAudio"
_LABELS = {
    "RealVideo-RealAudio": REAL,
    _FAKE_AUDIO_ONLY: REAL,
    "FakeVideo-RealAudio": FAKE,
    "FakeVideo-FakeAudio": FAKE,
}
_NOT_LETTERS = re.compile(r"[^a-z]+")
_CATEGORIES = {_NOT_LETTERS.sub("", name.lower()): name for name in _LABELS}
_IDENTITY = re.compile(r"id[0-9]{4,6}")
_IDENTITY_IN_NAME = re.compile(r"(?<![A-Za-z0-9])id[0-9]{5}(?![A-Za-z0-9])")
_COLUMNS = {
    "source": ("source",),
    "target1": ("target1",),
    "target2": ("target2",),
    "method": ("method",),
    "type": ("type",),
    "path": ("filename", "path"),
}
_REQUIRED = ("source", "method", "type", "path")

_Key = tuple[str, str, str]
"""Category, identity and file name of a video, in lower case."""


class _Place(NamedTuple):
    """Description of the videos in a folder."""

    home: Path
    category: str
    identity: str


@dataclass(frozen=True)
class _Entry:
    """Method and identities of a video in the metadata."""

    method: str
    groups: tuple[str, ...]


def home(folder: Path, root: Path) -> Path | None:
    """Return the folder above the category, such as `RealVideo-RealAudio`; see `Layout`."""
    del root
    place = _place(folder)
    return place.home if place else None


def read(home: Path, items: Sequence[VideoItem]) -> DataSet:
    """Read labels from categories, identities from folders and file names, methods from the CSV.

    The label is that of the picture: a real video with fake sound is real.
    """
    path = find_list(home, METADATA)
    entries = _read_metadata(path) if path else {}
    labelled, counts = [], Counter[str]()
    for item in items:
        if place := _place(item.absolute.parent):
            counts[place.category] += 1
            labelled.append(_labelled(item, place, entries))
    listed = Counter(category for category, _, _ in entries)
    coverage = [Coverage(name, counts[name], listed[name.lower()]) for name in _LABELS if listed]
    notes = []
    if path is None:
        notes.append(f"no {METADATA} in {home}: the method of a fake is its category")
    if counts[_FAKE_AUDIO_ONLY]:
        notes.append(
            f"{counts[_FAKE_AUDIO_ONLY]} videos of {_FAKE_AUDIO_ONLY} are labelled real: only "
            "their sound is fake, and sound is not used"
        )
    if nameless := sum(not item.groups for item in labelled):
        notes.append(f"{nameless} videos are in no folder of an identity: they are in no group")
    return DataSet(NAME, NAME, home, tuple(labelled), tuple(coverage), tuple(notes))


def _place(folder: Path) -> _Place | None:
    """Describe the videos in a folder; None if no folder above them is a category."""
    identity = ""
    for level in (folder, *folder.parents):
        category = _CATEGORIES.get(_NOT_LETTERS.sub("", level.name.lower()))
        if category:
            return _Place(level.parent, category, identity)
        if not identity and _IDENTITY.fullmatch(level.name.lower()):
            identity = level.name.lower()
    return None


def _labelled(item: VideoItem, place: _Place, entries: Mapping[_Key, _Entry]) -> VideoItem:
    label = _LABELS[place.category]
    entry = entries.get((place.category.lower(), place.identity, item.path.name.lower()))
    in_name = _IDENTITY_IN_NAME.findall(item.path.stem.lower())
    groups = [place.identity, *in_name, *(entry.groups if entry else ())]
    method = entry.method if entry else place.category
    return replace(
        item,
        label=label,
        groups=tuple(dict.fromkeys(filter(None, groups))),
        split="",
        method=method if label == FAKE else "",
        dataset=NAME,
    )


def _read_metadata(path: Path) -> dict[_Key, _Entry]:
    table = read_table(path, _COLUMNS)
    missing = [name for name in _REQUIRED if name not in table.columns]
    if missing:
        raise DatasetError(
            f"{path} has no column {' and '.join(missing)}. Download it again, or delete it. "
            f"Received: {abbreviate(','.join(table.header))}"
        )
    entries = {}
    for row in table.rows:
        values = {name: value.lower() for name, value in row.values.items()}
        identities = [values.get(name, "") for name in ("source", "target1", "target2")]
        groups = tuple(name for name in identities if _IDENTITY.fullmatch(name))
        file_name = values["path"].replace("\\", "/").rpartition("/")[2]
        key = (values["type"], values["source"], file_name)
        entries[key] = _Entry(row.values["method"], groups)
    return entries
