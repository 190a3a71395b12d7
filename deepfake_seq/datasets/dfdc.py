"""Layout of DFDC, the Deepfake Detection Challenge: https://ai.meta.com/datasets/dfdc/."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from deepfake_seq.datasets.items import FAKE, REAL, UNKNOWN, VideoItem
from deepfake_seq.datasets.layout import Coverage, DataSet
from deepfake_seq.datasets.lists import Table, abbreviate, is_file_name, read_json, read_table
from deepfake_seq.datasets.words import read_label
from deepfake_seq.errors import DatasetError

NAME = "dfdc"
LOOKS_FOR = (
    'videos in a folder with a metadata.json such as {"abc.mp4": {"label": "FAKE", …}, …}, or with '
    "a labels.csv that has the columns filename and label"
)

METADATA = "metadata.json"
LABELS = "labels.csv"

_VIDEOS = "videos"
_LABELS = {"fake": FAKE, "real": REAL}
_COLUMNS = {"filename": ("filename",), "label": ("label",), "original": ("original",)}
_DFDC_NAME = re.compile(r"[a-z]{10}\.mp4")


class _Entry(NamedTuple):
    """Label and groups of a video."""

    label: int
    groups: tuple[str, ...]


class _List(NamedTuple):
    """The list of the videos in a folder.

    Attributes:
        path: Path of the list.
        entries: Entries by file name.
        is_dfdc: Whether it comes with DFDC; if not, it is a `labels.csv` of the same form.
    """

    path: Path
    entries: Mapping[str, _Entry]
    is_dfdc: bool


def home(folder: Path, root: Path) -> Path | None:
    """Return the root of the search, so that several DFDC folders under it are one data set."""
    return root if _read_list(folder) else None


def read(home: Path, items: Sequence[VideoItem]) -> DataSet:
    """Read labels and source videos from the metadata.json or labels.csv of each folder.

    The `split` field is ignored: it is `train` for every published video.
    """
    find_list = cache(_read_list)
    videos, found, lists = [], Counter[str](), dict[Path, _List]()
    for item in items:
        listing = find_list(item.absolute.parent)
        if listing is None:
            continue
        lists[listing.path] = listing
        entry = listing.entries.get(item.path.name) or listing.entries.get(item.path.stem)
        found[listing.path.name] += entry is not None
        videos.append(
            replace(
                item,
                label=entry.label if entry else UNKNOWN,
                groups=entry.groups if entry else (),
                split="",
                method="",
                dataset=NAME if listing.is_dfdc else "",
            )
        )
    listed = Counter[str]()
    for listing in lists.values():
        listed[listing.path.name] += len(listing.entries)
    coverage = tuple(Coverage(name, found[name], listed[name]) for name in sorted(listed))
    absent = len(videos) - found.total()
    notes = (f"{absent} videos are missing from their {' and '.join(sorted(listed))}: no label",)
    name = NAME if any(item.dataset for item in videos) else LABELS
    return DataSet(NAME, name, home, tuple(videos), coverage, notes if absent else ())


def _read_list(folder: Path) -> _List | None:
    """Read the list of the videos in a folder; None if there is none of DFDC's form."""
    above = [folder.parent] if folder.name.lower() == _VIDEOS else []
    for place in (folder, *above):
        path = place / METADATA
        if path.is_file():
            named = place.name.lower().startswith(NAME)
            metadata = read_json(path)
            if named or _names_videos(metadata):
                return _List(path, _json_entries(metadata, path), is_dfdc=True)
        path = place / LABELS
        if path.is_file() and (listing := _read_csv(path, folder)):
            return listing
    return None


def _names_videos(metadata: object) -> bool:
    return isinstance(metadata, dict) and any(
        isinstance(entry, dict) and "label" in entry for entry in metadata.values()
    )


def _json_entries(metadata: object, path: Path) -> dict[str, _Entry]:
    if not isinstance(metadata, dict):
        raise DatasetError(
            f"{path} must map file names to entries. Download it again. "
            f"Received: {abbreviate(metadata)}"
        )
    return {name: _json_entry(name, entry, path) for name, entry in metadata.items()}


def _json_entry(name: str, entry: object, path: Path) -> _Entry:
    where = f"{path}: entry {abbreviate(name)}"
    if not isinstance(entry, Mapping):
        raise DatasetError(
            f'{where} must be like {{"label": "FAKE"}}. Download the file again. '
            f"Received: {abbreviate(entry)}"
        )
    return _entry(name, _json_label(entry.get("label"), where), entry.get("original"), where)


def _json_label(value: Any, where: str) -> int:
    text = value.strip().lower() if isinstance(value, str) else None
    if text not in _LABELS:
        raise DatasetError(
            f"{where}: the label must be FAKE or REAL. Download the file again. "
            f"Received: {abbreviate(value)}"
        )
    return _LABELS[text]


def _entry(name: str, label: int, original: object, where: str) -> _Entry:
    if label != FAKE or original is None:
        return _Entry(label, (name,))
    if not is_file_name(original):
        raise DatasetError(
            f"{where}: `original` must be a file name. Download the file again. "
            f"Received: {abbreviate(original)}"
        )
    return _Entry(label, (str(original),))


def _read_csv(path: Path, folder: Path) -> _List | None:
    """Read a labels.csv; None if it has other columns, or does not list videos of the folder."""
    named = any(level.name.lower().startswith(NAME) for level in (path.parent, *path.parents[:2]))
    try:
        table = read_table(path, _COLUMNS)
    except DatasetError:
        if named:
            raise
        return None
    names = [row.values["filename"] for row in table.rows] if "filename" in table.columns else []
    if "label" not in table.columns or not names:
        return None
    is_dfdc = named or all(map(_DFDC_NAME.fullmatch, names))
    if not is_dfdc and not (any((folder / name).is_file() for name in names if is_file_name(name))):
        return None
    labels = {read_label(row.values["label"]).label for row in table.rows}
    if not is_dfdc and not labels & {FAKE, REAL}:
        return None  # labels of something else
    return _List(path, _csv_entries(table), is_dfdc)


def _csv_entries(table: Table) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    for row in table.rows:
        where = f"{table.path}:{row.line}"
        name, label = row.values["filename"], read_label(row.values["label"]).label
        if label is None:
            raise DatasetError(
                f"{where}: the label must be FAKE (or 1) or REAL (or 0). Correct it. "
                f"Received: {abbreviate(row.values['label'])}"
            )
        if not is_file_name(name):
            raise DatasetError(
                f"{where}: `filename` must be a file name without a folder. Use --labels for "
                f"paths. Received: {abbreviate(name)}"
            )
        entry = _entry(name, label, row.values.get("original") or None, where)
        if entries.setdefault(name, entry) != entry:
            raise DatasetError(
                f"{where}: an earlier row for this file differs. Keep one of them. "
                f"Received: {abbreviate(name)}"
            )
    return entries
