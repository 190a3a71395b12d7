"""Layout of FaceForensics++: https://github.com/ondyari/FaceForensics."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from deepfake_seq.datasets.items import FAKE, REAL, VideoItem
from deepfake_seq.datasets.layout import Coverage, DataSet
from deepfake_seq.datasets.lists import abbreviate, read_json
from deepfake_seq.errors import DatasetError

NAME = "faceforensics"
LOOKS_FOR = (
    "videos in original_sequences/SOURCE/COMPRESSION/videos or "
    "manipulated_sequences/METHOD/COMPRESSION/videos, with COMPRESSION c0, raw, c23 or c40"
)

SPLIT_FILES = {"train.json": "train", "val.json": "validation", "test.json": "test"}

_DATASET = "faceforensics++"
_LABELS = {"original_sequences": REAL, "manipulated_sequences": FAKE}
_MASKS = "masks"
_COMPRESSIONS = frozenset({"c0", "raw", "c23", "c40", _MASKS})
_PUBLISHED = {
    "youtube": 1000,
    "Deepfakes": 1000,
    "Face2Face": 1000,
    "FaceSwap": 1000,
    "NeuralTextures": 1000,
    "FaceShifter": 1000,
}
_PUBLISHED_ACTORS = {"actors": 363, "DeepFakeDetection": 3068}
_SPELLINGS = {name.lower(): name for name in (*_PUBLISHED, *_PUBLISHED_ACTORS)}
_SOURCES = re.compile(r"([0-9]{3})(?:_([0-9]{3}))?")
_ACTORS = re.compile(r"([0-9]{2})(?:_([0-9]{2}))?__.+")


class _Place(NamedTuple):
    """Description of the videos in a folder, read from the names of the folders above it."""

    home: Path
    label: int
    name: str  # youtube, actors, or the method
    compression: str


def groups_of(stem: str) -> tuple[str, ...]:
    """Return the source videos (`000`) or actors (`actor01`) in a file name, without repeats."""
    sources, actors = _SOURCES.fullmatch(stem), _ACTORS.fullmatch(stem)
    if sources:
        return tuple(dict.fromkeys(filter(None, sources.groups())))
    if actors:
        return tuple(dict.fromkeys(f"actor{number}" for number in actors.groups() if number))
    return ()


def home(folder: Path, root: Path) -> Path | None:
    """Return the folder above `original_sequences` or `manipulated_sequences`; see `Layout`."""
    del root
    place = _place(folder)
    return place.home if place else None


def read(home: Path, items: Sequence[VideoItem]) -> DataSet:
    """Read labels and methods from folders, sources from file names, splits from the JSON files."""
    paths = _find_split_files(home)
    source_splits = _read_splits(paths)
    labelled, counts = [], Counter[tuple[str, str]]()
    for item in items:
        place = _place(item.absolute.parent)
        if place is None or place.compression == _MASKS:
            continue
        counts[place.name, place.compression] += 1
        groups = groups_of(item.path.stem)
        labelled.append(
            replace(
                item,
                label=place.label,
                groups=groups,
                split=_split_of(item, groups, source_splits),
                method=place.name if place.label == FAKE else "",
                dataset=_DATASET,
            )
        )
    masks = len(items) - len(labelled)
    nameless = sum(not item.groups for item in labelled)
    notes = []
    if not paths:
        notes.append(f"no {', '.join(SPLIT_FILES)} in {home} or its splits/: no official split")
    if masks:
        notes.append(f"{masks} videos of masks are skipped")
    if nameless:
        notes.append(f"{nameless} videos have no source in their name: they are in no group")
    return DataSet(NAME, _DATASET, home, tuple(labelled), tuple(_coverage(counts)), tuple(notes))


def _place(folder: Path) -> _Place | None:
    """Describe the videos in a folder; None if the folder is not of this layout."""
    if len(folder.parts) < 5:
        return None
    kind, name, compression, last = (level.lower() for level in folder.parts[-4:])
    if kind not in _LABELS or compression not in _COMPRESSIONS or last != "videos":
        return None
    name = _SPELLINGS.get(name, folder.parts[-3])
    return _Place(folder.parents[3], _LABELS[kind], name, compression)


def _coverage(counts: Mapping[tuple[str, str], int]) -> list[Coverage]:
    """Return the coverage of each method in each compression that has any videos."""
    rows = []
    for compression in sorted({compression for _, compression in counts}):
        published = dict(_PUBLISHED)
        if any((name, compression) in counts for name in _PUBLISHED_ACTORS):
            published |= _PUBLISHED_ACTORS
        rows += [
            Coverage(f"{name} {compression}", counts.get((name, compression), 0), total)
            for name, total in published.items()
        ]
    return rows


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
