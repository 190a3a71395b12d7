"""FaceForensics++: https://github.com/ondyari/FaceForensics."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from deepfake_seq.datasets.items import FAKE, REAL, VideoItem
from deepfake_seq.datasets.layout import Coverage, DataSet
from deepfake_seq.datasets.lists import read_json, shown
from deepfake_seq.errors import DatasetError

NAME = "faceforensics"
LOOKS_FOR = (
    "videos in original_sequences/SOURCE/COMPRESSION/videos or "
    "manipulated_sequences/METHOD/COMPRESSION/videos, COMPRESSION being c0, raw, c23 or c40"
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
    """What the folders say of the videos in them."""

    home: Path
    label: int
    name: str  # youtube, actors, or the method
    compression: str


def groups_of(stem: str) -> tuple[str, ...]:
    """The source videos `000` or the people `actor01` that a file name tells, without repeats."""
    sources, actors = _SOURCES.fullmatch(stem), _ACTORS.fullmatch(stem)
    if sources:
        return tuple(dict.fromkeys(filter(None, sources.groups())))
    if actors:
        return tuple(dict.fromkeys(f"actor{number}" for number in actors.groups() if number))
    return ()


def home(folder: Path, root: Path) -> Path | None:
    """The folder that holds `original_sequences` or `manipulated_sequences`."""
    del root
    place = _place(folder)
    return place.home if place else None


def read(home: Path, items: Sequence[VideoItem]) -> DataSet:
    """Labels and methods by folder, sources by name, parts by the official pairs."""
    paths = _find_split_files(home)
    parts = _read_parts(paths)
    known, found = [], Counter[tuple[str, str]]()
    for item in items:
        place = _place(item.absolute.parent)
        if place is None or place.compression == _MASKS:
            continue
        found[place.name, place.compression] += 1
        groups = groups_of(item.path.stem)
        known.append(
            replace(
                item,
                label=place.label,
                groups=groups,
                split=_part(item, groups, parts),
                method=place.name if place.label == FAKE else "",
                dataset=_DATASET,
            )
        )
    masks = len(items) - len(known)
    nameless = sum(not item.groups for item in known)
    notes = []
    if not paths:
        notes.append(f"no {', '.join(SPLIT_FILES)} in {home} or its splits/: no official split")
    if masks:
        notes.append(f"{masks} videos of masks are left out")
    if nameless:
        notes.append(f"{nameless} videos have names that tell no source: they are in no group")
    return DataSet(NAME, _DATASET, home, tuple(known), tuple(_coverage(found)), tuple(notes))


def _place(folder: Path) -> _Place | None:
    """What the names of a folder and of those above it say; None if it is not of this layout."""
    if len(folder.parts) < 5:
        return None
    kind, name, compression, last = (part.lower() for part in folder.parts[-4:])
    if kind not in _LABELS or compression not in _COMPRESSIONS or last != "videos":
        return None
    name = _SPELLINGS.get(name, folder.parts[-3])
    return _Place(folder.parents[3], _LABELS[kind], name, compression)


def _coverage(found: Mapping[tuple[str, str], int]) -> list[Coverage]:
    """What there is of each method in each compression of which there is anything."""
    rows = []
    for compression in sorted({compression for _, compression in found}):
        published = dict(_PUBLISHED)
        if any((name, compression) in found for name in _PUBLISHED_ACTORS):
            published |= _PUBLISHED_ACTORS
        rows += [
            Coverage(f"{name} {compression}", found.get((name, compression), 0), of)
            for name, of in published.items()
        ]
    return rows


def _part(item: VideoItem, groups: Sequence[str], parts: Mapping[str, str]) -> str:
    """The part that a clip's sources are in; "" if they are in none."""
    own = {group: parts[group] for group in groups if group in parts}
    if len(set(own.values())) > 1:
        raise DatasetError(
            "the sources of a clip stand on two sides of the official split, "
            f"{' and '.join(f'{source} in {part}' for source, part in own.items())}. Move the clip "
            f"away, or fetch the split files again. Received: {item.path}"
        )
    return next(iter(own.values()), "")


def _find_split_files(home: Path) -> dict[str, Path]:
    """The split file of each part; all of them or none."""
    paths: dict[str, Path] = {}
    for name, part in SPLIT_FILES.items():
        for path in (home / name, home / "splits" / name):
            if path.is_file():
                paths.setdefault(part, path)
    missing = [name for name, part in SPLIT_FILES.items() if part not in paths]
    if paths and missing:
        raise DatasetError(
            f"the official split in {home} lacks {' and '.join(missing)}: looked there and in "
            "splits/. Fetch what is missing, or take the others away to go without. "
            f"Received: {', '.join(map(str, paths.values()))}"
        )
    return paths


def _read_parts(paths: Mapping[str, Path]) -> dict[str, str]:
    """The part that each source is in."""
    parts: dict[str, str] = {}
    for part, path in paths.items():
        for source in _read_sources(path):
            if parts.setdefault(source, part) != part:
                raise DatasetError(
                    f"a source stands in {paths[parts[source]]} and in {path}, so the official "
                    f"split leaks. Fetch the split files again. Received: {source}"
                )
    return parts


def _read_sources(path: Path) -> list[str]:
    """All sources in the pairs of one split file."""
    pairs = read_json(path)
    if not isinstance(pairs, list):
        raise DatasetError(
            f"{path} is no list of pairs. Fetch the file again. Received: {shown(pairs)}"
        )
    for number, pair in enumerate(pairs, start=1):
        if not (isinstance(pair, list) and len(pair) == 2 and all(map(_is_source, pair))):
            raise DatasetError(
                f'{path}: pair {number} is not like ["071", "054"]. Fetch the file again. '
                f"Received: {shown(pair)}"
            )
    return [source for pair in pairs for source in pair]


def _is_source(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9]{3}", value) is not None
