"""Reading a shard: one HDF5 file of records. The format is in docs/store-format.md."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from deepfake_seq.errors import StoreError
from deepfake_seq.store.description import FORMAT_VERSION, StoreDescription
from deepfake_seq.store.encoding import FORMAT, STORED, TEXTS, IndexRow
from deepfake_seq.store.guard import DAMAGE, locate, open_file, open_plain, text_attribute
from deepfake_seq.store.record import (
    ARRAYS,
    MOST_METADATA,
    FeatureRecord,
    canonical_bytes,
    parse_metadata,
    sha256_of,
    shapes,
)

BLOCK = 32
"""How many records are read at once where several are wanted."""

_BLOCK_BYTES = 16 << 20
_MOST_FRAMES, _MOST_WIDTH, _MOST_DESCRIPTION = 4096, 65_536, 1 << 20
"""Beyond these, a shard claims what no extraction makes."""

_DTYPES = {**STORED, **dict.fromkeys(TEXTS, "|u1"), "sha256": "|u1"}


class _Row(NamedTuple):
    """One record as it is stored: nothing of it is checked."""

    metadata: bytes
    sha256: bytes
    arrays: tuple[npt.NDArray[Any], ...]


class Shard:
    """A shard whose structure was checked and whose records can be read.

    No file is kept open, so that an object can be copied to other processes and outlive the file.

    Args:
        path: The file.
        fingerprint_id: Of the store that it should belong to; None for any.

    Attributes:
        path: The file.

    Raises:
        FileNotFoundError: There is no such file; so do all methods that read.
        StoreError: The file is not a shard of this format and fingerprint.
    """

    def __init__(self, path: Path, fingerprint_id: str | None) -> None:
        self.path = path
        with open_plain(path) as file:
            _check_kind(file, path, fingerprint_id)
            self._extents = {
                name: locate(file, path, name, dtype) for name, dtype in _DTYPES.items()
            }
            self._text_sha256 = {name: text_attribute(file, f"{name}_sha256", 64) for name in TEXTS}
            self._check_shapes()

    def __len__(self) -> int:
        return self._extents["sha256"].shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """The T and D of its records."""
        frames, width = self._extents["features"].shape[1:]
        return frames, width

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

    def read(self, position: int) -> FeatureRecord:
        """The record at `position`, checked against its digest.

        Raises:
            StoreError: The record is damaged. Nothing of it is returned.
        """
        return next(self.read_range(position, position + 1))

    def read_range(self, start: int, stop: int) -> Iterator[FeatureRecord]:
        """The records from `start` up to `stop`, each checked against its digest.

        Raises:
            StoreError: A record is damaged; those before it have been given.
        """
        # One buffer for all blocks: fresh memory costs as much as reading into it.
        block = max(min(BLOCK, _BLOCK_BYTES // self._extents["features"].row_bytes), 1)
        buffer = np.empty((min(block, stop - start), *self.shape), dtype=np.float16)
        # The thread starts when it is given something to do.
        with open_file(self.path) as descriptor, ThreadPoolExecutor(1) as helper:
            for first in range(start, stop, block):
                rows = self._rows(descriptor, first, buffer[: stop - first])
                self._will_need(descriptor, first + block, min(block, stop - first - block))
                for number, computed in enumerate(_digests(rows, helper)):
                    yield self._record(first + number, rows[number], computed)

    def _will_need(self, descriptor: int, first: int, count: int) -> None:
        """Let the system read the next features from the disk while these are checked."""
        if count > 0 and hasattr(os, "posix_fadvise"):
            extent = self._extents["features"]
            start, size = extent.offset + first * extent.row_bytes, count * extent.row_bytes
            os.posix_fadvise(descriptor, start, size, os.POSIX_FADV_WILLNEED)

    def _rows(self, descriptor: int, first: int, features: npt.NDArray[np.float16]) -> list[_Row]:
        """The records from `first` on as they are stored, their features read into `features`."""
        count = len(features)
        block = {"features": features}
        for name in (*ARRAYS, "metadata", "sha256"):
            if name != "features":
                extent = self._extents[name]
                block[name] = np.empty((count, *extent.shape[1:]), dtype=extent.dtype)
            self._fill(descriptor, name, first, block[name])
        block["mask"] = block["mask"].astype(bool)
        texts = [text.tobytes().rstrip(b"\0") for text in block["metadata"]]
        digests = [value.tobytes() for value in block["sha256"]]
        arrays = zip(*(block[name] for name in ARRAYS), strict=True)
        return [_Row(*parts) for parts in zip(texts, digests, arrays, strict=True)]

    def _record(self, position: int, row: _Row, computed: bytes) -> FeatureRecord:
        where = f"{self.path}, record {position}"
        if row.sha256 != computed:
            raise StoreError(f"{where} is damaged: its SHA-256 is not the one it was written with")
        arrays = dict(zip(ARRAYS, row.arrays, strict=True))
        arrays["features"] = arrays["features"].copy()  # out of the buffer
        try:
            return FeatureRecord.from_metadata(row.metadata, arrays)
        except DAMAGE as error:
            raise StoreError(f"{where} is no record: {error}") from error

    @cached_property
    def _metadata_rows(self) -> npt.NDArray[np.uint8]:
        shape = self._extents["metadata"].shape
        return np.frombuffer(self._text("metadata"), dtype=np.uint8).reshape(shape)

    def _text(self, name: str) -> bytes:
        """The bytes of a text, checked against its digest."""
        text = np.empty(self._extents[name].shape, dtype=np.uint8)
        with open_file(self.path) as descriptor:
            self._fill(descriptor, name, 0, text)
        if hashlib.sha256(text.data).hexdigest() != self._text_sha256[name]:
            raise StoreError(f"{self.path}: its {name} is damaged")
        return text.tobytes()

    def _fill(self, descriptor: int, name: str, first: int, array: npt.NDArray[Any]) -> None:
        """Read the rows of a dataset from `first` on into an array."""
        extent = self._extents[name]
        place = extent.offset + first * extent.row_bytes
        view = array.data.cast("B")
        done = 0
        while done < array.nbytes:  # the system may give less than was asked for
            try:
                size = os.preadv(descriptor, [view[done:]], place + done)
            except OSError as error:
                raise StoreError(f"{self.path} cannot be read: {error.strerror}") from error
            if not size:
                raise StoreError(f"{self.path} is cut short")
            done += size

    def _check_shapes(self) -> None:
        count, frames, width = self._extents["features"].shape
        most = {"metadata": MOST_METADATA * count, "index": 2 * MOST_METADATA * count}
        for name in TEXTS:
            if not 0 < math.prod(self._extents[name].shape) <= most.get(name, _MOST_DESCRIPTION):
                raise StoreError(f"{self.path}: its {name} is empty or far too large")
        if not count or not 0 < frames <= _MOST_FRAMES or not 0 < width <= _MOST_WIDTH:
            raise StoreError(f"{self.path} cannot hold records of {frames}×{width}")
        rows: dict[str, tuple[int, ...]] = {**shapes(frames, width), "sha256": (32,)}
        rows["metadata"] = self._extents["metadata"].shape[1:2]
        for name, row in rows.items():
            found = self._extents[name].shape
            if found != (count, *row):
                raise StoreError(f"{self.path}: {name} must be {(count, *row)}. Received: {found}")


def _check_kind(file: h5py.File, path: Path, fingerprint_id: str | None) -> None:
    if "format" not in file.attrs or text_attribute(file, "format", len(FORMAT)) != FORMAT:
        raise StoreError(f"{path} is an HDF5 file, but not a deepseq shard")
    version = h5py.h5a.open(file.id, b"format_version")
    if version.shape != () or version.dtype.kind != "i":
        raise StoreError(f"{path}: its format version is no number")
    number = int(file.attrs["format_version"])
    if number != FORMAT_VERSION:
        raise StoreError(
            f"{path} is in format {number}; this version of deepseq reads format {FORMAT_VERSION}"
        )
    own = text_attribute(file, "fingerprint_id", 12)
    if fingerprint_id not in (own, None):
        raise StoreError(
            f"{path} belongs to another store: its fingerprint is {own}, not {fingerprint_id}"
        )


def _digests(rows: list[_Row], helper: Executor) -> list[bytes]:
    """The digests of records, half of them computed by `helper`: hashing is most of reading."""
    parts = [canonical_bytes(row.metadata, row.arrays) for row in rows]
    half = len(rows) // 2
    others = helper.submit(_hash_all, parts[:half]) if half else None
    own = _hash_all(parts[half:])
    return others.result() + own if others else own


def _hash_all(parts: list[tuple[bytes, memoryview]]) -> list[bytes]:
    return [sha256_of(part) for part in parts]
