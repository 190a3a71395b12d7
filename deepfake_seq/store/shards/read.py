"""Read a shard: an HDF5 file of records. docs/store-format.md describes the format."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from deepfake_seq.errors import StoreError
from deepfake_seq.store.records.metadata import MAX_METADATA, parse_metadata
from deepfake_seq.store.records.record import (
    FRAME_SIZE,
    Record,
    canonical_bytes,
    optional_dtype,
    sha256_of,
)
from deepfake_seq.store.shards.description import READABLE_VERSIONS, StoreDescription
from deepfake_seq.store.shards.encode import TEXTS, IndexRow
from deepfake_seq.store.shards.guard import (
    DAMAGE,
    locate,
    open_file,
    open_plain,
    read_into,
    text_attribute,
)
from deepfake_seq.store.shards.kinds import FEATURES, KINDS, Kind
from deepfake_seq.store.shards.payload import Array, FlatPayloads, Payloads, RowPayloads

_MAX_DESCRIPTION = 1 << 20
"""Maximum size of a description in bytes; larger shards are refused."""

_MAX_WIDTH = 65_536
"""Maximum number of values per frame in an evidence block; larger shards are refused."""

_MAX_OPTIONAL = 1024
"""Maximum size in bytes of the list of optional arrays; larger shards are refused."""

_WITHOUT_OPTIONAL = 2
"""Last version of the format without optional arrays."""


class _Row(NamedTuple):
    """One record as stored, unchecked."""

    metadata: bytes
    sha256: bytes
    arrays: tuple[Array, ...]
    optional: dict[str, Array]
    payload: Array | None


class Shard:
    """A shard with a checked structure, whose records can be read.

    No file is kept open, so a `Shard` can be sent to other processes and can outlive the file.

    Args:
        path: Path of the file.
        fingerprint_id: Required fingerprint id; None for any.
        kind: Required kind of records; None for any.

    Attributes:
        path: Path of the file.
        kind: Kind of the records.

    Raises:
        FileNotFoundError: There is no such file. All methods that read raise it, too.
        StoreError: The file is not a shard of this format, fingerprint and kind.
    """

    def __init__(self, path: Path, fingerprint_id: str | None, kind: Kind | None = None) -> None:
        self.path = path
        with open_plain(path) as file:
            self.kind = _kind_of(file, path)
            if kind not in (self.kind, None):
                raise StoreError(f"{path} contains {self.kind.name}, not {kind.name}")
            version = _checked_version(file, path)
            _check_fingerprint(file, path, fingerprint_id)
            dtypes = {**self.kind.stored, **dict.fromkeys((*TEXTS, "sha256"), "|u1")}
            optional = _optional_arrays(file, self.kind) if version > _WITHOUT_OPTIONAL else {}
            self._optional = tuple(optional)
            dtypes |= optional
            self._extents = {
                name: locate(file, path, name, dtype) for name, dtype in dtypes.items()
            }
            self._text_sha256 = {name: text_attribute(file, f"{name}_sha256", 64) for name in TEXTS}
            self._check_shapes()

    def __len__(self) -> int:
        return self._extents["sha256"].shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Dimensions that all records share: T, and D for features."""
        return self._extents[self.kind.shaped_by].shape[1:]

    @cached_property
    def sizes(self) -> list[int]:
        """Size in bytes of each record's large array; 0 if its location is damaged.

        Raises:
            StoreError: The file cannot be read.
        """
        if not self.kind.is_flat:
            return [self._extents[self.kind.payload].row_bytes] * len(self)
        flat = FlatPayloads(self.path, self._extents, self.kind.payload)
        with open_file(self.path) as descriptor:
            locations = flat.locations(descriptor, 0, len(self))
        return [location[1] if location else 0 for location in locations]

    def index(self) -> list[IndexRow]:
        """Read the index of the shard.

        Raises:
            StoreError: The index is damaged. The records may still be intact.
        """
        text = self._text("index")
        try:
            rows = [IndexRow(*row) for row in json.loads(text)]
        except DAMAGE as error:
            raise StoreError(f"{self.path}: the index is damaged: {error}") from error
        if not all([type(value) for value in row] == [str, int, str] for row in rows):
            raise StoreError(f"{self.path}: the index has rows of the wrong types")
        if len(rows) != len(self):
            raise StoreError(f"{self.path}: the index lists {len(rows)} of {len(self)} records")
        return rows

    def description(self) -> StoreDescription:
        """Read the copy of the store's description.

        Raises:
            StoreError: The copy is damaged.
        """
        return StoreDescription.from_bytes(self._text("description"), self.path)

    def metadata(self, position: int) -> dict[str, Any]:
        """Return the fields of one record that are not arrays.

        Raises:
            StoreError: The metadata of the shard is damaged.
        """
        text = self._metadata_rows[position].tobytes().rstrip(b"\0")
        try:
            return parse_metadata(text)
        except DAMAGE as error:
            raise StoreError(f"{self.path}, record {position} is damaged: {error}") from error

    def read(self, position: int) -> Record:
        """Read the record at `position` and check it against its SHA-256.

        Raises:
            StoreError: The record is damaged.
        """
        return next(self.read_range(position, position + 1))

    def read_range(self, start: int, stop: int) -> Iterator[Record]:
        """Yield the records from `start` up to `stop`, each checked against its SHA-256.

        Only one block of records is in memory.

        Raises:
            StoreError: A record is damaged; the records before it have been yielded.
        """
        payloads = self._payloads(stop - start)
        # The thread starts with its first task.
        with open_file(self.path) as descriptor, ThreadPoolExecutor(1) as helper:
            first = start
            while first < stop:
                rows = self._rows(descriptor, first, payloads.read(descriptor, first, stop - first))
                after = first + len(rows)
                payloads.will_need(descriptor, after, stop - after)
                for number, computed in enumerate(_digests(rows, helper)):
                    yield self._record(first + number, rows[number], computed, payloads)
                first = after

    def _payloads(self, count: int) -> Payloads:
        if self.kind.is_flat:
            return FlatPayloads(self.path, self._extents, self.kind.payload)
        return RowPayloads(self.path, self._extents, self.kind.payload, count)

    def _rows(self, descriptor: int, first: int, payloads: Sequence[Array | None]) -> list[_Row]:
        """Read a block of records from `first` on, and combine them with their large arrays."""
        count = len(payloads)
        block: dict[str, Array] = {}
        for name in (*self.kind.small, *self._optional, "metadata", "sha256"):
            extent = self._extents[name]
            block[name] = np.empty((count, *extent.shape[1:]), dtype=extent.dtype)
            offset = extent.offset + first * extent.row_bytes
            read_into(descriptor, self.path, offset, block[name])
        block["mask"] = block["mask"].astype(bool)
        texts = [text.tobytes().rstrip(b"\0") for text in block["metadata"]]
        digests = [value.tobytes() for value in block["sha256"]]
        arrays = zip(*(block[name] for name in self.kind.small), strict=True)
        optional = [{name: block[name][row] for name in self._optional} for row in range(count)]
        fields = zip(texts, digests, arrays, optional, payloads, strict=True)
        return [_Row(*values) for values in fields]

    def _record(self, position: int, row: _Row, computed: bytes, payloads: Payloads) -> Record:
        where = f"{self.path}, record {position}"
        if row.payload is None:
            raise StoreError(f"{where} is damaged: its span does not match its {self.kind.payload}")
        if row.sha256 != computed:
            raise StoreError(f"{where} is damaged: its SHA-256 does not match its content")
        arrays = {**dict(zip(self.kind.small, row.arrays, strict=True)), **row.optional}
        arrays[self.kind.payload] = payloads.keep(row.payload)
        try:
            return self.kind.record.from_metadata(row.metadata, arrays)
        except DAMAGE as error:
            raise StoreError(f"{where} is not a valid record: {error}") from error

    @cached_property
    def _metadata_rows(self) -> npt.NDArray[np.uint8]:
        shape = self._extents["metadata"].shape
        return np.frombuffer(self._text("metadata"), dtype=np.uint8).reshape(shape)

    def _text(self, name: str) -> bytes:
        """Read a dataset of text and check it against its SHA-256."""
        extent = self._extents[name]
        text = np.empty(extent.shape, dtype=np.uint8)
        with open_file(self.path) as descriptor:
            read_into(descriptor, self.path, extent.offset, text)
        if hashlib.sha256(text.data).hexdigest() != self._text_sha256[name]:
            raise StoreError(f"{self.path}: the {name} is damaged")
        return text.tobytes()

    def _check_shapes(self) -> None:
        count, *shape = self._extents[self.kind.shaped_by].shape
        max_sizes = {"metadata": MAX_METADATA * count, "index": 2 * MAX_METADATA * count}
        for name in TEXTS:
            if (
                not 0
                < math.prod(self._extents[name].shape)
                <= max_sizes.get(name, _MAX_DESCRIPTION)
            ):
                raise StoreError(f"{self.path}: the {name} is empty or too large")
        limits = zip(shape, self.kind.max_shape, strict=True)
        if not count or not all(0 < size <= limit for size, limit in limits):
            raise StoreError(
                f"{self.path} has records of a forbidden shape: {'×'.join(map(str, shape))}"
            )
        rows = {**self.kind.record.shapes(*shape), "sha256": (32,)}
        rows["metadata"] = self._extents["metadata"].shape[1:2]
        rows |= {name: self._optional_row(name, shape[0]) for name in self._optional}
        if self.kind.is_flat:
            rows["spans"] = (2,)
            if len(self._extents[self.kind.payload].shape) != 1:
                raise StoreError(f"{self.path}: {self.kind.payload} must have one dimension")
        for name, row in rows.items():
            actual = self._extents[name].shape
            if actual != (count, *row):
                raise StoreError(
                    f"{self.path}: {name} must have shape {(count, *row)}. Received: {actual}"
                )

    def _optional_row(self, name: str, frames: int) -> tuple[int, ...]:
        """Return the shape that each row of an optional array must have."""
        if name == FRAME_SIZE:
            return (frames, 2)
        width = self._extents[name].shape[-1:]
        if not all(0 < size <= _MAX_WIDTH for size in width):
            raise StoreError(f"{self.path}: {name} has a forbidden width. Received: {width}")
        return (frames, *width)


def _optional_arrays(file: h5py.File, kind: Kind) -> dict[str, str]:
    """Return names and dtypes of the optional arrays in a shard, in the order of hashing."""
    # Not by listing the datasets: HDF5 can crash when it lists a damaged file.
    size = h5py.h5a.open(file.id, b"optional").get_storage_size()
    if size > _MAX_OPTIONAL:
        raise ValueError(f"the list of optional arrays is larger than {_MAX_OPTIONAL} bytes")
    names = text_attribute(file, "optional", size).split()
    if names != sorted(set(names), key=lambda name: (name != FRAME_SIZE, name)):
        raise ValueError(f"the optional arrays are not in order: {names}")
    dtypes = {name: optional_dtype(name).str for name in names}
    if kind != FEATURES and dtypes.keys() - {FRAME_SIZE}:
        raise ValueError(f"a {kind.title} has no evidence blocks")
    return dtypes


def _kind_of(file: h5py.File, path: Path) -> Kind:
    if "format" in file.attrs:
        size = h5py.h5a.open(file.id, b"format").get_storage_size()
        for kind in KINDS.values():
            if size == len(kind.format) and text_attribute(file, "format", size) == kind.format:
                return kind
    raise StoreError(f"{path} is an HDF5 file, but not a deepseq shard")


def _checked_version(file: h5py.File, path: Path) -> int:
    version = h5py.h5a.open(file.id, b"format_version")
    if version.shape != () or version.dtype.kind != "i":
        raise StoreError(f"{path}: format_version is not an integer")
    number = int(file.attrs["format_version"])
    if number not in READABLE_VERSIONS:
        raise StoreError(
            f"{path} is in format {number}; this version of deepseq reads formats "
            f"{READABLE_VERSIONS[0]} to {READABLE_VERSIONS[-1]}"
        )
    return number


def _check_fingerprint(file: h5py.File, path: Path, fingerprint_id: str | None) -> None:
    actual = text_attribute(file, "fingerprint_id", 12)
    if fingerprint_id not in (actual, None):
        raise StoreError(
            f"{path} belongs to another store: its fingerprint is {actual}, not {fingerprint_id}"
        )


def _digests(rows: list[_Row], helper: Executor) -> list[bytes]:
    """Compute the digests of records, half of them in `helper`: hashing dominates reading."""
    contents = [
        (b"", memoryview(b""))
        if row.payload is None
        else canonical_bytes(row.metadata, [*row.arrays, row.payload], row.optional)
        for row in rows
    ]
    half = len(rows) // 2
    first_half = helper.submit(_hash_all, contents[:half]) if half else None
    second_half = _hash_all(contents[half:])
    return first_half.result() + second_half if first_half else second_half


def _hash_all(contents: list[tuple[bytes, memoryview]]) -> list[bytes]:
    return [sha256_of(content) for content in contents]
