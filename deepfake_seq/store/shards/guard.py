"""Check an HDF5 file before any of its data is used: a shard is untrusted input.

HDF5 is only used to find where the data is. Links, storage outside the file, filters (HDF5 loads
them from plug-ins) and sizes beyond the end of the file are refused. The data is then read directly
from the file, at an offset that was checked to be inside it.
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
"""Exceptions that h5py, NumPy and JSON raise on damaged data."""

_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class ShardAccessError(StoreError):
    """A shard cannot be opened at the moment; its content may be intact."""


@dataclass(frozen=True)
class Extent:
    """Location of a contiguous dataset in its file.

    Attributes:
        offset: Offset of the first byte.
        shape: Shape of the array.
        dtype: Dtype of the array.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        """Size of one row in bytes."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


@contextmanager
def open_file(path: Path) -> Iterator[int]:
    """Open a regular file for reading and yield its descriptor.

    Raises:
        FileNotFoundError: There is no such file.
        ShardAccessError: Permission is denied, or memory or file descriptors are exhausted.
        StoreError: The path is a link or not a regular file.
    """
    try:
        # Do not block on a pipe, and do not follow a link.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _NO_ACCESS:
            raise ShardAccessError(f"{path} cannot be opened: {error.strerror}") from error
        raise StoreError(f"{path} is a link or not a regular file: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StoreError(f"{path} is not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_plain(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, without HDF5's own locks.

    Raises:
        FileNotFoundError: There is no such file, or it was removed or replaced while it was read.
        ShardAccessError: Permission is denied, or memory or file descriptors are exhausted.
        StoreError: The file is not HDF5, or the block found it damaged.
    """
    with open_file(path) as descriptor:
        try:
            # By descriptor, because the path may have been removed or reused by now.
            name = f"/dev/fd/{descriptor}"
            with h5py.File(name, "r", driver="sec2", locking=False) as file:
                if file.userblock_size:
                    raise StoreError(f"{path} has a user block in front of the HDF5 data")
                yield file
        except DAMAGE as error:
            if not _is_at(path, descriptor):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise StoreError(f"{path} is not an intact deepseq shard: {reason}") from error


def _is_at(path: Path, descriptor: int) -> bool:
    """Return whether the open file is the one that `path` names."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def read_into(descriptor: int, path: Path, offset: int, array: npt.NDArray[Any]) -> None:
    """Fill a contiguous array with the bytes of a file from `offset` on.

    Raises:
        StoreError: The file cannot be read, or is too short.
    """
    if not array.nbytes:
        return
    view = array.data.cast("B")
    done = 0
    while done < array.nbytes:  # preadv may return fewer bytes than requested
        try:
            size = os.preadv(descriptor, [view[done:]], offset + done)
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        if not size:
            raise StoreError(f"{path} is truncated")
        done += size


def text_attribute(file: h5py.File, name: str, length: int) -> str:
    """Read a text attribute of a fixed length.

    Raises:
        DAMAGE: The attribute is missing or of another type.
    """
    attribute = h5py.h5a.open(file.id, name.encode())
    if attribute.shape != () or attribute.dtype != np.dtype(f"S{length}"):
        raise ValueError(f"attribute {name} is not a text of {length} bytes")
    value = np.zeros((), dtype=attribute.dtype)
    attribute.read(value)
    return bytes(value[()]).decode("ascii")


def locate(file: h5py.File, path: Path, name: str, dtype: str) -> Extent:
    """Return the location of the contiguous dataset `name` of `dtype` in the file at `path`.

    Raises:
        StoreError: The dataset is outside the file, compressed, chunked, or of another dtype.
    """
    where = f"{path}: {name}"
    name_bytes = name.encode()
    if file.id.links.get_info(name_bytes).type != h5py.h5l.TYPE_HARD:
        raise StoreError(f"{where} is a link")
    dataset = h5py.h5o.open(file.id, name_bytes)
    if not isinstance(dataset, h5py.h5d.DatasetID):
        raise StoreError(f"{where} is not a dataset")
    plist = dataset.get_create_plist()
    if plist.get_layout() != h5py.h5d.CONTIGUOUS or plist.get_nfilters():
        raise StoreError(f"{where} is not contiguous and uncompressed")
    if plist.get_external_count():
        raise StoreError(f"{where} has its data in another file")
    if dataset.dtype != np.dtype(dtype):
        raise StoreError(f"{where} must be {dtype}. Received: {dataset.dtype}")
    offset, size = dataset.get_offset(), file.id.get_filesize()
    if offset is None:
        raise StoreError(f"{where} has no data")
    extent = Extent(offset, dataset.shape, np.dtype(dtype))
    if offset + math.prod(extent.shape) * extent.dtype.itemsize > size:
        raise StoreError(f"{where} extends beyond the end of the file")
    return extent
