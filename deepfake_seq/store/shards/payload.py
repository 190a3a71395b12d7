"""Read the large array of each record in a shard, in blocks of records."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from deepfake_seq.store.records.face_record import MAX_IMAGES
from deepfake_seq.store.shards.guard import Extent, read_into

BLOCK = 32
"""Maximum number of records in a block."""

BLOCK_BYTES = 16 << 20
"""Maximum size in bytes of a block of more than one record."""

Array = npt.NDArray[Any]


class Payloads(Protocol):
    """Reader of the large array of each record."""

    def read(self, descriptor: int, first: int, max_count: int) -> list[Array | None]:
        """Read the arrays of a block of records from `first` on.

        Args:
            descriptor: Descriptor of the shard, open for reading.
            first: Position of the first record.
            max_count: Maximum number of records to read, at least 1.

        Returns:
            The array of each record, which the next `read` may overwrite; None if its location is
            damaged. At least one record is read.

        Raises:
            StoreError: The file cannot be read.
        """
        ...

    def keep(self, array: Array) -> Array:
        """Return an array that the next `read` does not overwrite."""
        ...

    def will_need(self, descriptor: int, first: int, count: int) -> None:
        """Let the system prefetch the next records while the last ones are checked."""
        ...


class RowPayloads:
    """Reader of arrays of equal size, the rows of a dataset; see `Payloads`.

    Args:
        path: Path of the shard.
        extents: Locations of its datasets by name.
        name: Name of the dataset to read.
        count: Number of records that will be read.
    """

    def __init__(self, path: Path, extents: Mapping[str, Extent], name: str, count: int) -> None:
        self._path = path
        self._extent = extents[name]
        self._block = max(min(BLOCK, BLOCK_BYTES // self._extent.row_bytes), 1)
        # Reuse one buffer: allocating memory for each block costs as much as reading it.
        shape = (min(self._block, count), *self._extent.shape[1:])
        self._buffer = np.empty(shape, dtype=self._extent.dtype)

    def read(self, descriptor: int, first: int, max_count: int) -> list[Array | None]:
        """See `Payloads`."""
        rows = self._buffer[:max_count]
        offset = self._extent.offset + first * self._extent.row_bytes
        read_into(descriptor, self._path, offset, rows)
        return list(rows)

    def keep(self, array: Array) -> Array:
        """See `Payloads`."""
        return array.copy()

    def will_need(self, descriptor: int, first: int, count: int) -> None:
        """See `Payloads`."""
        size = min(count, self._block) * self._extent.row_bytes
        _advise(descriptor, self._extent.offset + first * self._extent.row_bytes, size)


class FlatPayloads:
    """Reader of arrays of different sizes, concatenated in a dataset; see `Payloads`.

    Args:
        path: Path of the shard.
        extents: Locations of its datasets by name.
        name: Name of the dataset to read.
    """

    def __init__(self, path: Path, extents: Mapping[str, Extent], name: str) -> None:
        self._path = path
        self._extent = extents[name]
        self._spans = extents["spans"]
        self._lengths = extents["image_bytes"]
        self._end = self._extent.offset

    def locations(self, descriptor: int, first: int, count: int) -> list[tuple[int, int] | None]:
        """Return offset and size in bytes of each record's array; None if they are damaged.

        A location must be inside the dataset and as long as the sum of its image sizes.

        Raises:
            StoreError: The file cannot be read.
        """
        spans = self._rows(descriptor, self._spans, first, count)
        lengths = self._rows(descriptor, self._lengths, first, count).tolist()
        locations: list[tuple[int, int] | None] = []
        for (start, stop), image_sizes in zip(spans.tolist(), lengths, strict=True):
            size = stop - start
            is_inside = 0 <= start <= stop < self._extent.shape[0] and size <= MAX_IMAGES
            is_valid = is_inside and size == sum(image_sizes)
            locations.append((self._extent.offset + start, size) if is_valid else None)
        return locations

    def read(self, descriptor: int, first: int, max_count: int) -> list[Array | None]:
        """See `Payloads`."""
        arrays: list[Array | None] = []
        total = 0
        for location in self.locations(descriptor, first, min(max_count, BLOCK)):
            if location is None:
                arrays.append(None)
                continue
            offset, size = location
            total += size
            if arrays and total > BLOCK_BYTES:
                break
            array = np.empty(size, dtype=self._extent.dtype)
            read_into(descriptor, self._path, offset, array)
            arrays.append(array)
            self._end = offset + size
        return arrays

    def keep(self, array: Array) -> Array:
        """See `Payloads`."""
        return array

    def will_need(self, descriptor: int, first: int, count: int) -> None:
        """See `Payloads`."""
        left = self._extent.offset + self._extent.shape[0] - self._end
        _advise(descriptor, self._end, min(left, BLOCK_BYTES))

    def _rows(self, descriptor: int, extent: Extent, first: int, count: int) -> Array:
        rows = np.empty((count, *extent.shape[1:]), dtype=extent.dtype)
        read_into(descriptor, self._path, extent.offset + first * extent.row_bytes, rows)
        return rows


def _advise(descriptor: int, offset: int, size: int) -> None:
    if size > 0 and hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_WILLNEED)
