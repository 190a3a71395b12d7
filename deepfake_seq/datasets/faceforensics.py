"""Layout of FaceForensics++: https://github.com/ondyari/FaceForensics."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from deepfake_seq.datasets.faceforensics_folders import (
    ACTORS,
    FROM_ACTORS,
    MASKS,
    METHODS,
    ORIGINAL,
    Place,
    groups_of,
    place_of,
)
from deepfake_seq.datasets.items import FAKE, LABEL_NAMES, REAL, UNKNOWN, VideoItem
from deepfake_seq.datasets.layout import Coverage, DataSet
from deepfake_seq.datasets.lists import abbreviate, find_folder, read_json, read_table
from deepfake_seq.datasets.words import read_label
from deepfake_seq.errors import DatasetError

NAME = "faceforensics"
LOOKS_FOR = (
    "videos in original_sequences/SOURCE/COMPRESSION/videos or "
    "manipulated_sequences/METHOD/COMPRESSION/videos, with COMPRESSION c0, raw, c23 or c40; or in "
    "original, Deepfakes, Face2Face, FaceSwap, NeuralTextures, FaceShifter and DeepFakeDetection"
)

SPLIT_FILES = {"train.json": "train", "val.json": "validation", "test.json": "test"}

_DATASET = "faceforensics++"
_PUBLISHED = dict.fromkeys(METHODS, 1000)
_PUBLISHED_ORIGINALS = {"youtube": 1000}
_PUBLISHED_ACTORS = {ACTORS: 363, FROM_ACTORS: 3068}
_PUBLISHED_FLAT = {ORIGINAL: 1000}
_CSV_FOLDER = "csv"
_CSV_COLUMNS = {"path": ("filepath", "path", "filename"), "label": ("label",)}

_Key = tuple[str, str]
"""Folder and file name of a video, in lower case."""


def home(folder: Path, root: Path) -> Path | None:
    """Return the folder above `original_sequences` or `manipulated_sequences`; see `Layout`."""
    del root
    place = place_of(folder)
    return place.home if place else None


def read(home: Path, items: Sequence[VideoItem]) -> DataSet:
    """Read labels and methods from folders, sources from file names, splits from the JSON files.

    If the data set has a folder `csv`, its lists are compared with the folders.
    """
    paths = _find_split_files(home)
    source_splits = _read_splits(paths)
    listed = _read_csv_files(home)
    find_place = cache(place_of)
    places = [find_place(item.absolute.parent) for item in items]
    masks = {
        (place.name, item.path.name): item.path
        for item, place in zip(items, places, strict=True)
        if place and place.compression == MASKS
    }
    labelled, counts = [], Counter[Place]()
    for item, place in zip(items, places, strict=True):
        if place is None or place.compression == MASKS:
            continue
        counts[place] += 1
        groups = groups_of(item.path.stem)
        labelled.append(
            replace(
                item,
                label=place.label,
                groups=groups,
                split=_split_of(item, groups, source_splits),
                method=place.name if place.label == FAKE else "",
                dataset=_DATASET,
                mask_path=masks.get((place.name, item.path.name)),
            )
        )
    used = len({item.mask_path for item in labelled if item.mask_path})
    unused = len(items) - len(labelled) - used
    nameless = sum(not item.groups for item in labelled)
    notes = []
    if not paths:
        notes.append(f"no {', '.join(SPLIT_FILES)} in {home} or its splits/: no official split")
    if used:
        notes.append(f"{used} videos of masks show the replaced regions of other videos")
    if unused:
        notes.append(f"{unused} videos of masks are skipped: their videos are missing")
    if nameless:
        notes.append(f"{nameless} videos have no source in their name: they are in no group")
    coverage = _coverage(counts, listed)
    return DataSet(NAME, _DATASET, home, tuple(labelled), tuple(coverage), tuple(notes))


def _coverage(counts: Mapping[Place, int], listed: Mapping[str, int]) -> list[Coverage]:
    """Return the coverage of each method in each compression that has any videos."""
    rows = []
    for compression, is_flat in sorted({(place.compression, place.is_flat) for place in counts}):
        found = {
            place.name: count
            for place, count in counts.items()
            if (place.compression, place.is_flat) == (compression, is_flat)
        }
        published = _published(found, is_flat)
        if is_flat:
            published |= {name: n for name, n in listed.items() if name in (*published, *found)}
        rows += [
            Coverage(f"{name} {compression}".rstrip(), found.get(name, 0), total)
            for name, total in published.items()
        ]
    return rows


def _published(found: Container[str], is_flat: bool) -> dict[str, int]:
    """Return the number of videos published of each method, if there are any of its kind."""
    actors = {name: count for name, count in _PUBLISHED_ACTORS.items() if name in found}
    if is_flat:
        methods = _PUBLISHED_FLAT | _PUBLISHED
        return (methods if any(name in found for name in methods) else {}) | actors
    return _PUBLISHED_ORIGINALS | _PUBLISHED | (_PUBLISHED_ACTORS if actors else {})


def _read_csv_files(home: Path) -> dict[str, int]:
    """Return the number of videos of each folder in the lists of `csv`; check their labels."""
    folder = find_folder(home, _CSV_FOLDER)
    names = {name.lower(): name for name in (ORIGINAL, *METHODS, FROM_ACTORS)}
    listed: set[_Key] = set()
    for path in sorted(folder.glob("*.[cC][sS][vV]")) if folder else ():
        table = read_table(path, _CSV_COLUMNS)
        if table.columns.keys() != _CSV_COLUMNS.keys():
            continue  # statistics of the videos, not a list of them
        for row in table.rows:
            parts = row.values["path"].replace("\\", "/").lower().split("/")
            if len(parts) < 2 or parts[-2] not in names:
                continue
            label = REAL if parts[-2] == ORIGINAL else FAKE
            if read_label(row.values["label"]).label not in (label, UNKNOWN):
                raise DatasetError(
                    f"{path}:{row.line}: the list contradicts the folder: videos in {parts[-2]} "
                    f"are {LABEL_NAMES[label]}. Download the list again, or delete it. "
                    f"Received: {abbreviate(row.values['label'])}"
                )
            listed.add((parts[-2], parts[-1]))
    return {names[name]: count for name, count in Counter(name for name, _ in listed).items()}


def _split_of(item: VideoItem, groups: Sequence[str], source_splits: Mapping[str, str]) -> str:
    """Return the split of a clip's sources; "" if they are in none."""
    splits = {group: source_splits[group] for group in groups if group in source_splits}
    if len(set(splits.values())) > 1:
        raise DatasetError(
            "the sources of a clip are in different official splits, "
            f"{' and '.join(f'{source} in {name}' for source, name in splits.items())}. Remove the "
            f"clip, or download the split files again. Received: {item.path}"
        )
    return next(iter(splits.values()), "")


def _find_split_files(home: Path) -> dict[str, Path]:
    """Return the path of each split's file, by split; all of them or none."""
    paths: dict[str, Path] = {}
    for file_name, split in SPLIT_FILES.items():
        for path in (home / file_name, home / "splits" / file_name):
            if path.is_file():
                paths.setdefault(split, path)
    missing = [file_name for file_name, split in SPLIT_FILES.items() if split not in paths]
    if paths and missing:
        raise DatasetError(
            f"the official split in {home} lacks {' and '.join(missing)}: looked there and in "
            "splits/. Download the missing files, or delete the others to use no official split. "
            f"Received: {', '.join(map(str, paths.values()))}"
        )
    return paths


def _read_splits(paths: Mapping[str, Path]) -> dict[str, str]:
    """Return the split of each source video."""
    splits: dict[str, str] = {}
    for split, path in paths.items():
        for source in _read_sources(path):
            if splits.setdefault(source, split) != split:
                raise DatasetError(
                    f"a source is listed both in {paths[splits[source]]} and in {path}, so the "
                    f"official split leaks. Download the split files again. Received: {source}"
                )
    return splits


def _read_sources(path: Path) -> list[str]:
    """Return all sources in the pairs of one split file."""
    pairs = read_json(path)
    if not isinstance(pairs, list):
        raise DatasetError(
            f"{path} is not a list of pairs. Download the file again. Received: {abbreviate(pairs)}"
        )
    for number, pair in enumerate(pairs, start=1):
        if not (isinstance(pair, list) and len(pair) == 2 and all(map(_is_source, pair))):
            raise DatasetError(
                f'{path}: pair {number} is not like ["071", "054"]. Download the file again. '
                f"Received: {abbreviate(pair)}"
            )
    return [source for pair in pairs for source in pair]


def _is_source(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9]{3}", value) is not None
