"""What is checked of an HDF5 file before any of its data is used: a shard is untrusted input.

HDF5 is asked only where things are. Links, storage outside the file, everything that would have to
be unpacked (HDF5 loads filters from plug-ins) and sizes beyond the file's own are refused. The data
is then read from the file itself, from the place that was found to be inside it.
"""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from deepfake_seq.errors import StoreError

DAMAGE = (AttributeError, KeyError, OSError, RecursionError, RuntimeError, TypeError, ValueError)
"""What h5py and JSON raise on damaged bytes."""


@dataclass(frozen=True)
class Extent:
    """Where the data of a dataset lies in its file, row after row.

    Attributes:
        offset: Of its first byte.
        shape: Of the array.
        dtype: Of the array.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        """The size of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


@contextmanager
def open_plain(path: Path) -> Iterator[h5py.File]:
    """A regular file, open for reading without HDF5's own locks.

    Raises:
        FileNotFoundError: There is none.
        StoreError: It is no HDF5 file, or no file at all; or the block met damage in it.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise StoreError(f"{path} is not a regular file")
    try:
        with h5py.File(path, "r", driver="sec2", locking=False) as file:
            if file.userblock_size:
                raise StoreError(f"{path} begins with something else than HDF5")
            yield file
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        raise StoreError(f"{path} is not a whole deepseq shard: {error}") from error


def locate(file: h5py.File, name: str, dtype: str) -> Extent:
    """Where the dataset `name` lies, of `dtype` and in one piece.

    Raises:
        StoreError: It leads out of the file, is packed, or is not what it should be.
    """
    where = f"{file.filename}: {name}"
    name_bytes = name.encode()
    if file.id.links.get_info(name_bytes).type != h5py.h5l.TYPE_HARD:
        raise StoreError(f"{where} is a link that leads elsewhere")
    dataset = h5py.h5o.open(file.id, name_bytes)
    if not isinstance(dataset, h5py.h5d.DatasetID):
        raise StoreError(f"{where} is not a dataset")
    plist = dataset.get_create_plist()
    if plist.get_layout() != h5py.h5d.CONTIGUOUS or plist.get_nfilters():
        raise StoreError(f"{where} is not stored in one piece as it is")
    if plist.get_external_count():
        raise StoreError(f"{where} takes its data from another file")
    if dataset.dtype != np.dtype(dtype):
        raise StoreError(f"{where} must be {dtype}. Received: {dataset.dtype}")
    offset, size = dataset.get_offset(), file.id.get_filesize()
    extent = Extent(offset or 0, dataset.shape, np.dtype(dtype))
    if offset is None or offset + math.prod(extent.shape) * extent.dtype.itemsize > size:
        raise StoreError(f"{where} claims more than is stored")
    return extent
