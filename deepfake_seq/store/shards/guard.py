"""What is checked of an HDF5 file before any of its data is used: a shard is untrusted input.

HDF5 is asked only where things are. Links, storage outside the file, everything that would have to
be unpacked (HDF5 loads filters from plug-ins) and sizes beyond the file's own are refused. The data
is then read from the file itself, from the place that was found to be inside it.
"""

from __future__ import annotations

import errno
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from deepfake_seq.errors import StoreError

# fmt: off
DAMAGE = (
    AttributeError, KeyError, MemoryError, OSError, OverflowError, RecursionError, RuntimeError,
    TypeError, ValueError,
)
# fmt: on
"""What h5py, NumPy and JSON raise on damaged bytes."""

_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class ShardAccessError(StoreError):
    """A shard cannot be opened here and now, which says nothing about what is in it."""


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
def open_file(path: Path) -> Iterator[int]:
    """A descriptor of a regular file, to read from.

    Raises:
        FileNotFoundError: There is none.
        ShardAccessError: It may not be read, or there is no room to open it.
        StoreError: It is a link, or no file.
    """
    try:
        # A pipe would be waited for, and a link leads elsewhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _NO_ACCESS:
            raise ShardAccessError(f"{path} cannot be opened: {error.strerror}") from error
        raise StoreError(f"{path} is a link or no file: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StoreError(f"{path} is not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_plain(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file, open for reading, without HDF5's own locks.

    Raises:
        FileNotFoundError: There is none.
        ShardAccessError: It may not be read, or there is no room to open it.
        StoreError: It is no HDF5 file, or the block met damage in it.
    """
    with open_file(path) as descriptor:
        try:
            # By its number: the name may have gone, or stand for another file by now.
            name = f"/dev/fd/{descriptor}"
            with h5py.File(name, "r", driver="sec2", locking=False) as file:
                if file.userblock_size:
                    raise StoreError(f"{path} begins with something else than HDF5")
                yield file
        except DAMAGE as error:
            if not os.path.lexists(path):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise StoreError(f"{path} is not a whole deepseq shard: {reason}") from error


def read_into(descriptor: int, path: Path, offset: int, array: npt.NDArray[Any]) -> None:
    """Fill an array, which lies in one piece, with the bytes of a file from `offset` on.

    Raises:
        StoreError: The file cannot be read, or is too short.
    """
    if not array.nbytes:
        return
    view = array.data.cast("B")
    done = 0
    while done < array.nbytes:  # the system may give less than was asked for
        try:
            size = os.preadv(descriptor, [view[done:]], offset + done)
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        if not size:
            raise StoreError(f"{path} is cut short")
        done += size


def text_attribute(file: h5py.File, name: str, length: int) -> str:
    """An attribute that is a text of a fixed length.

    Raises:
        DAMAGE: There is none, or it is something else.
    """
    attribute = h5py.h5a.open(file.id, name.encode())
    if attribute.shape != () or attribute.dtype != np.dtype(f"S{length}"):
        raise ValueError(f"attribute {name} is no text of {length} letters")
    value = np.zeros((), dtype=attribute.dtype)
    attribute.read(value)
    return bytes(value[()]).decode("ascii")


def locate(file: h5py.File, path: Path, name: str, dtype: str) -> Extent:
    """Where the dataset `name` of the file at `path` lies, of `dtype` and in one piece.

    Raises:
        StoreError: It leads out of the file, is packed, or is not what it should be.
    """
    where = f"{path}: {name}"
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
    if offset is None:
        raise StoreError(f"{where} holds nothing")
    extent = Extent(offset, dataset.shape, np.dtype(dtype))
    if offset + math.prod(extent.shape) * extent.dtype.itemsize > size:
        raise StoreError(f"{where} claims more than is stored")
    return extent
