"""Reading a shard: one HDF5 file of records. The format is in docs/store-format.md."""

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
from deepfake_seq.store.records.record import Record, canonical_bytes, sha256_of
from deepfake_seq.store.shards.description import FORMAT_VERSION, StoreDescription
from deepfake_seq.store.shards.encode import TEXTS, IndexRow
from deepfake_seq.store.shards.guard import (
    DAMAGE,
    locate,
    open_file,
    open_plain,
    read_into,
    text_attribute,
)
from deepfake_seq.store.shards.kinds import KINDS, Kind
from deepfake_seq.store.shards.payload import Array, FlatPayloads, Payloads, RowPayloads

_MAX_DESCRIPTION = 1 << 20
"""Beyond this, a shard claims what no extraction makes."""


class _Row(NamedTuple):
    """One record as it is stored: nothing of it is checked."""

    metadata: bytes
    sha256: bytes
    arrays: tuple[Array, ...]
    payload: Array | None


class Shard:
    """A shard whose structure was checked and whose records can be read.

    No file is kept open, so that an object can be copied to other processes and outlive the file.

    Args:
        path: The file.
        fingerprint_id: Of the store that it should belong to; None for any.
        kind: Of the records that it should hold; None for any.

    Attributes:
        path: The file.
        kind: Of its records.

    Raises:
        FileNotFoundError: There is no such file; so do all methods that read.
        StoreError: The file is not a shard of this format and fingerprint.
    """

    def __init__(self, path: Path, fingerprint_id: str | None, kind: Kind | None = None) -> None:
        self.path = path
        with open_plain(path) as file:
            self.kind = _kind_of(file, path)
            if kind not in (self.kind, None):
                raise StoreError(f"{path} holds {self.kind.name}, not {kind.name}")
            _check_version(file, path)
            _check_fingerprint(file, path, fingerprint_id)
            dtypes = {**self.kind.stored, **dict.fromkeys((*TEXTS, "sha256"), "|u1")}
            self._extents = {
                name: locate(file, path, name, dtype) for name, dtype in dtypes.items()
            }
            self._text_sha256 = {name: text_attribute(file, f"{name}_sha256", 64) for name in TEXTS}
            self._check_shapes()

    def __len__(self) -> int:
        return self._extents["sha256"].shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """What its records have in common: T, and D where they are features."""
        return self._extents[self.kind.shaped_by].shape[1:]

    @cached_property
    def sizes(self) -> list[int]:
        """How many bytes the large array of each record has; 0 where that is damaged.

        Raises:
            StoreError: The file cannot be read.
        """
        if not self.kind.is_flat:
            return [self._extents[self.kind.payload].row_bytes] * len(self)
        flat = FlatPayloads(self.path, self._extents, self.kind.payload)
        with open_file(self.path) as descriptor:
            places = flat.places(descriptor, 0, len(self))
        return [place[1] if place else 0 for place in places]

    def index(self) -> list[IndexRow]:
        """What the shard says that it holds.

        Raises:
            StoreError: The index is damaged. The records may still be whole.
        """
        text = self._text("index")
        try:
            rows = [IndexRow(*row) for row in json.loads(text)]
        except DAMAGE as error:
            raise StoreError(f"{self.path}: its index is damaged: {error}") from error
        if not all([type(value) for value in row] == [str, int, str] for row in rows):
            raise StoreError(f"{self.path}: its index does not hold names and numbers")
        if len(rows) != len(self):
            raise StoreError(f"{self.path}: its index lists {len(rows)} of {len(self)} records")
        return rows

    def description(self) -> StoreDescription:
        """The store's description, of which every shard has a copy.

        Raises:
            StoreError: It is damaged.
        """
        return StoreDescription.from_bytes(self._text("description"), self.path)

    def metadata(self, position: int) -> dict[str, Any]:
        """The fields of one record that are no arrays.

        Raises:
            StoreError: The metadata of the shard is damaged.
        """
        text = self._metadata_rows[position].tobytes().rstrip(b"\0")
        try:
            return parse_metadata(text)
        except DAMAGE as error:
            raise StoreError(f"{self.path}, record {position} is damaged: {error}") from error

    def read(self, position: int) -> Record:
        """The record at `position`, checked against its digest.

        Raises:
            StoreError: The record is damaged. Nothing of it is returned.
        """
        return next(self.read_range(position, position + 1))

    def read_range(self, start: int, stop: int) -> Iterator[Record]:
        """The records from `start` up to `stop`, each checked against its digest.

        No more than a block of them is in memory.

        Raises:
            StoreError: A record is damaged; those before it have been given.
        """
        payloads = self._payloads(stop - start)
        # The thread starts when it is given something to do.
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
        """The records from `first` on as they are stored, beside their large arrays."""
        count = len(payloads)
        block: dict[str, Array] = {}
        for name in (*self.kind.small, "metadata", "sha256"):
            extent = self._extents[name]
            block[name] = np.empty((count, *extent.shape[1:]), dtype=extent.dtype)
            offset = extent.offset + first * extent.row_bytes
            read_into(descriptor, self.path, offset, block[name])
        block["mask"] = block["mask"].astype(bool)
        texts = [text.tobytes().rstrip(b"\0") for text in block["metadata"]]
        digests = [value.tobytes() for value in block["sha256"]]
        arrays = zip(*(block[name] for name in self.kind.small), strict=True)
        return [_Row(*parts) for parts in zip(texts, digests, arrays, payloads, strict=True)]

    def _record(self, position: int, row: _Row, computed: bytes, payloads: Payloads) -> Record:
        where = f"{self.path}, record {position}"
        if row.payload is None:
            raise StoreError(f"{where} is damaged: its span is not that of its {self.kind.payload}")
        if row.sha256 != computed:
            raise StoreError(f"{where} is damaged: its SHA-256 is not the one it was written with")
        arrays = dict(zip(self.kind.small, row.arrays, strict=True))
        arrays[self.kind.payload] = payloads.kept(row.payload)
        try:
            return self.kind.record.from_metadata(row.metadata, arrays)
        except DAMAGE as error:
            raise StoreError(f"{where} is no record: {error}") from error

    @cached_property
    def _metadata_rows(self) -> npt.NDArray[np.uint8]:
        shape = self._extents["metadata"].shape
        return np.frombuffer(self._text("metadata"), dtype=np.uint8).reshape(shape)

    def _text(self, name: str) -> bytes:
        """The bytes of a text, checked against its digest."""
        extent = self._extents[name]
        text = np.empty(extent.shape, dtype=np.uint8)
        with open_file(self.path) as descriptor:
            read_into(descriptor, self.path, extent.offset, text)
        if hashlib.sha256(text.data).hexdigest() != self._text_sha256[name]:
            raise StoreError(f"{self.path}: its {name} is damaged")
        return text.tobytes()

    def _check_shapes(self) -> None:
        count, *shape = self._extents[self.kind.shaped_by].shape
        most = {"metadata": MAX_METADATA * count, "index": 2 * MAX_METADATA * count}
        for name in TEXTS:
            if not 0 < math.prod(self._extents[name].shape) <= most.get(name, _MAX_DESCRIPTION):
                raise StoreError(f"{self.path}: its {name} is empty or far too large")
        limits = zip(shape, self.kind.most_shape, strict=True)
        if not count or not all(0 < size <= limit for size, limit in limits):
            raise StoreError(f"{self.path} cannot hold records of {'×'.join(map(str, shape))}")
        rows = {**self.kind.record.shapes(*shape), "sha256": (32,)}
        rows["metadata"] = self._extents["metadata"].shape[1:2]
        if self.kind.is_flat:
            rows["spans"] = (2,)
            if len(self._extents[self.kind.payload].shape) != 1:
                raise StoreError(f"{self.path}: {self.kind.payload} must have one dimension")
        for name, row in rows.items():
            found = self._extents[name].shape
            if found != (count, *row):
                raise StoreError(f"{self.path}: {name} must be {(count, *row)}. Received: {found}")


def _kind_of(file: h5py.File, path: Path) -> Kind:
    if "format" in file.attrs:
        size = h5py.h5a.open(file.id, b"format").get_storage_size()
        for kind in KINDS.values():
            if size == len(kind.format) and text_attribute(file, "format", size) == kind.format:
                return kind
    raise StoreError(f"{path} is an HDF5 file, but not a deepseq shard")


def _check_version(file: h5py.File, path: Path) -> None:
    version = h5py.h5a.open(file.id, b"format_version")
    if version.shape != () or version.dtype.kind != "i":
        raise StoreError(f"{path}: its format version is no number")
    number = int(file.attrs["format_version"])
    if number != FORMAT_VERSION:
        raise StoreError(
            f"{path} is in format {number}; this version of deepseq reads format {FORMAT_VERSION}"
        )


def _check_fingerprint(file: h5py.File, path: Path, fingerprint_id: str | None) -> None:
    own = text_attribute(file, "fingerprint_id", 12)
    if fingerprint_id not in (own, None):
        raise StoreError(
            f"{path} belongs to another store: its fingerprint is {own}, not {fingerprint_id}"
        )


def _digests(rows: list[_Row], helper: Executor) -> list[bytes]:
    """The digests of records, half of them computed by `helper`: hashing is most of reading."""
    parts = [
        (b"", memoryview(b""))
        if row.payload is None
        else canonical_bytes(row.metadata, [*row.arrays, row.payload])
        for row in rows
    ]
    half = len(rows) // 2
    others = helper.submit(_hash_all, parts[:half]) if half else None
    own = _hash_all(parts[half:])
    return others.result() + own if others else own


def _hash_all(parts: list[tuple[bytes, memoryview]]) -> list[bytes]:
    return [sha256_of(part) for part in parts]
