"""DFDC, the Deepfake Detection Challenge: https://ai.meta.com/datasets/dfdc/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from deepfake_seq.datasets.items import FAKE, REAL, UNKNOWN, VideoItem
from deepfake_seq.datasets.layout import Coverage, DataSet
from deepfake_seq.datasets.lists import is_file_name, read_json, shown
from deepfake_seq.errors import DatasetError

NAME = "dfdc"
LOOKS_FOR = 'videos beside a metadata.json such as {"abc.mp4": {"label": "FAKE", …}, …}'

METADATA = "metadata.json"

_LABELS = {"fake": FAKE, "real": REAL}

_Entry = tuple[int, tuple[str, ...]]
"""A label and the groups."""


def home(folder: Path, root: Path) -> Path | None:
    """Where the search began, so that the parts that lie side by side in it are one data set."""
    path = folder / METADATA
    if not path.is_file():
        return None
    named = folder.name.lower().startswith("dfdc")
    return root if named or _names_videos(read_json(path)) else None


def read(home: Path, items: Sequence[VideoItem]) -> DataSet:
    """Labels and sources by the metadata.json of each folder.

    Its `split` is `train` for all that has been published, and so is no split.
    """
    folders = sorted({item.absolute.parent for item in items})
    entries = {folder: _entries(folder / METADATA) for folder in folders}
    known, absent = [], 0
    for item in items:
        entry = entries[item.absolute.parent].get(item.path.name)
        absent += entry is None
        label, groups = entry or (UNKNOWN, ())
        known.append(replace(item, label=label, groups=groups, split="", method="", dataset=NAME))
    found = Coverage(METADATA, len(known) - absent, sum(map(len, entries.values())))
    notes = [f"{absent} videos are not in their {METADATA}: they are unlabelled"] if absent else []
    return DataSet(NAME, NAME, home, tuple(known), (found,), tuple(notes))


def _names_videos(metadata: object) -> bool:
    return isinstance(metadata, dict) and any(
        isinstance(entry, dict) and "label" in entry for entry in metadata.values()
    )


def _entries(path: Path) -> dict[str, _Entry]:
    metadata = read_json(path)
    if not isinstance(metadata, dict):
        raise DatasetError(f"{path} must be a mapping by file name. Received: {shown(metadata)}")
    return {name: _entry(name, entry, path) for name, entry in metadata.items()}


def _entry(name: str, entry: object, path: Path) -> _Entry:
    where = f"{path}: entry {shown(name)}"
    if not isinstance(entry, Mapping):
        raise DatasetError(f'{where} must be like {{"label": "FAKE"}}. Received: {shown(entry)}')
    label = _label(entry.get("label"), where)
    original = entry.get("original") if label == FAKE else None
    if original is not None and not is_file_name(original):
        raise DatasetError(
            f"{where}: the original must be a file's name. Fetch the file again. "
            f"Received: {shown(original)}"
        )
    return label, (original or name,)


def _label(value: Any, where: str) -> int:
    text = value.strip().lower() if isinstance(value, str) else None
    if text not in _LABELS:
        raise DatasetError(
            f"{where}: unknown label. Use FAKE or REAL. Fetch the file again. "
            f"Received: {shown(value)}"
        )
    return _LABELS[text]
