"""Layout of DFDC, the Deepfake Detection Challenge: https://ai.meta.com/datasets/dfdc/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from deepfake_seq.datasets.items import FAKE, REAL, UNKNOWN, VideoItem
from deepfake_seq.datasets.layout import Coverage, DataSet
from deepfake_seq.datasets.lists import abbreviate, is_file_name, read_json
from deepfake_seq.errors import DatasetError

NAME = "dfdc"
LOOKS_FOR = 'videos in a folder with a metadata.json such as {"abc.mp4": {"label": "FAKE", …}, …}'

METADATA = "metadata.json"

_LABELS = {"fake": FAKE, "real": REAL}

_Entry = tuple[int, tuple[str, ...]]
"""Label and groups of a video."""


def home(folder: Path, root: Path) -> Path | None:
    """Return the root of the search, so that several DFDC folders under it are one data set."""
    path = folder / METADATA
    if not path.is_file():
        return None
    named = folder.name.lower().startswith("dfdc")
    return root if named or _names_videos(read_json(path)) else None


def read(home: Path, items: Sequence[VideoItem]) -> DataSet:
    """Read labels and source videos from the metadata.json of each folder.

    Its `split` field is ignored: it is `train` for every published video.
    """
    folders = sorted({item.absolute.parent for item in items})
    entries = {folder: _entries(folder / METADATA) for folder in folders}
    videos, absent = [], 0
    for item in items:
        entry = entries[item.absolute.parent].get(item.path.name)
        absent += entry is None
        label, groups = entry or (UNKNOWN, ())
        videos.append(replace(item, label=label, groups=groups, split="", method="", dataset=NAME))
    coverage = Coverage(METADATA, len(videos) - absent, sum(map(len, entries.values())))
    notes = [f"{absent} videos are missing from their {METADATA}: no label"] if absent else []
    return DataSet(NAME, NAME, home, tuple(videos), (coverage,), tuple(notes))


def _names_videos(metadata: object) -> bool:
    return isinstance(metadata, dict) and any(
        isinstance(entry, dict) and "label" in entry for entry in metadata.values()
    )


def _entries(path: Path) -> dict[str, _Entry]:
    metadata = read_json(path)
    if not isinstance(metadata, dict):
        raise DatasetError(
            f"{path} must map file names to entries. Download it again. "
            f"Received: {abbreviate(metadata)}"
        )
    return {name: _entry(name, entry, path) for name, entry in metadata.items()}


def _entry(name: str, entry: object, path: Path) -> _Entry:
    where = f"{path}: entry {abbreviate(name)}"
    if not isinstance(entry, Mapping):
        raise DatasetError(
            f'{where} must be like {{"label": "FAKE"}}. Download the file again. '
            f"Received: {abbreviate(entry)}"
        )
    label = _label(entry.get("label"), where)
    original = entry.get("original") if label == FAKE else None
    if original is not None and not is_file_name(original):
        raise DatasetError(
            f"{where}: `original` must be a file name. Download the file again. "
            f"Received: {abbreviate(original)}"
        )
    return label, (original or name,)


def _label(value: Any, where: str) -> int:
    text = value.strip().lower() if isinstance(value, str) else None
    if text not in _LABELS:
        raise DatasetError(
            f"{where}: the label must be FAKE or REAL. Download the file again. "
            f"Received: {abbreviate(value)}"
        )
    return _LABELS[text]
