"""Reading the large array of each record in a shard, a block of records at a time."""

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
"""How many records are read at once where several are wanted."""

BLOCK_BYTES = 16 << 20
"""How many bytes of them are read at once, if it is not a single record that is larger."""

Array = npt.NDArray[Any]


class Payloads(Protocol):
    """Reads the large array of each record."""

    def read(self, descriptor: int, first: int, most: int) -> list[Array | None]:
        """Those of the records from `first` on, as many as make a block.

        Args:
            descriptor: Of the shard, open for reading.
            first: The first record.
            most: How many are wanted; `read` gives at least one.

        Returns:
            An array for each record, which may be overwritten by the next `read`; None where what
            tells of its place is damaged.

        Raises:
            StoreError: The file cannot be read.
        """
        ...

    def kept(self, array: Array) -> Array:
        """The array, to outlive the next `read`."""
        ...

    def will_need(self, descriptor: int, first: int, count: int) -> None:
        """Let the system read further records from the disk while the last ones are checked."""
        ...


class RowPayloads:
    """Arrays of one size, as rows of a dataset; see `Payloads`.

    Args:
        path: The shard.
        extents: Where its datasets lie.
        name: The dataset.
        count: How many records will be read.
    """

    def __init__(self, path: Path, extents: Mapping[str, Extent], name: str, count: int) -> None:
        self._path = path
        self._extent = extents[name]
        self._block = max(min(BLOCK, BLOCK_BYTES // self._extent.row_bytes), 1)
        # One buffer for all blocks: fresh memory costs as much as reading into it.
        shape = (min(self._block, count), *self._extent.shape[1:])
        self._buffer = np.empty(shape, dtype=self._extent.dtype)

    def read(self, descriptor: int, first: int, most: int) -> list[Array | None]:
        """See `Payloads`."""
        rows = self._buffer[:most]
        offset = self._extent.offset + first * self._extent.row_bytes
        read_into(descriptor, self._path, offset, rows)
        return list(rows)

    def kept(self, array: Array) -> Array:
        """See `Payloads`."""
        return array.copy()

    def will_need(self, descriptor: int, first: int, count: int) -> None:
        """See `Payloads`."""
        size = min(count, self._block) * self._extent.row_bytes
        _advise(descriptor, self._extent.offset + first * self._extent.row_bytes, size)


class FlatPayloads:
    """Arrays of different sizes, one after the other in a dataset; see `Payloads`.

    Args:
        path: The shard.
        extents: Where its datasets lie.
        name: The dataset.
    """

    def __init__(self, path: Path, extents: Mapping[str, Extent], name: str) -> None:
        self._path = path
        self._extent = extents[name]
        self._spans = extents["spans"]
        self._lengths = extents["image_bytes"]
        self._end = self._extent.offset

    def places(self, descriptor: int, first: int, count: int) -> list[tuple[int, int] | None]:
        """The offset and size of records' arrays; None where that is damaged.

        A place is believed only if it lies in the dataset and is as long as the images in it.

        Raises:
            StoreError: The file cannot be read.
        """
        spans = self._rows(descriptor, self._spans, first, count)
        lengths = self._rows(descriptor, self._lengths, first, count).tolist()
        places: list[tuple[int, int] | None] = []
        for (start, stop), own in zip(spans.tolist(), lengths, strict=True):
            size = stop - start
            inside = 0 <= start <= stop < self._extent.shape[0] and size <= MAX_IMAGES
            whole = inside and size == sum(own)
            places.append((self._extent.offset + start, size) if whole else None)
        return places

    def read(self, descriptor: int, first: int, most: int) -> list[Array | None]:
        """See `Payloads`."""
        arrays: list[Array | None] = []
        total = 0
        for place in self.places(descriptor, first, min(most, BLOCK)):
            if place is None:
                arrays.append(None)
                continue
            offset, size = place
            total += size
            if arrays and total > BLOCK_BYTES:
                break
            array = np.empty(size, dtype=self._extent.dtype)
            read_into(descriptor, self._path, offset, array)
            arrays.append(array)
            self._end = offset + size
        return arrays

    def kept(self, array: Array) -> Array:
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
