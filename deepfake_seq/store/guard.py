"""What is checked of an HDF5 file before any of its data is used: a shard is untrusted input.

Nothing here reads data. Links, storage outside the file, filters (which HDF5 would load from
plug-ins) and sizes beyond the file's own are refused first.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from deepfake_seq.errors import StoreError

DAMAGE = (AttributeError, KeyError, OSError, RecursionError, RuntimeError, TypeError, ValueError)
"""What h5py and JSON raise on damaged bytes."""


def open_plain(path: Path) -> h5py.File:
    """Open a regular file for reading, without HDF5's own locks.

    Raises:
        FileNotFoundError: There is none.
        StoreError: It is no HDF5 file, or no file at all.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise StoreError(f"{path} is not a regular file")
    try:
        # Each chunk is read once and as a whole: a cache of chunks would only copy them.
        return h5py.File(path, "r", driver="sec2", locking=False, rdcc_nbytes=0)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{path} is not a readable HDF5 file: {error}") from error


def plain_dataset(file: h5py.File, path: Path, name: str, dtype: str) -> Any:
    """The dataset `name` of `dtype`, which is stored in the file as it is and in full.

    Raises:
        StoreError: It leads out of the file, is packed, or is not what it should be.
    """
    link = file.get(name, getlink=True)
    dataset = file.get(name) if isinstance(link, h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset):
        raise StoreError(f"{path}: {name} is not a data set of this file")
    if dataset.dtype != np.dtype(dtype):
        raise StoreError(f"{path}: {name} must be {dtype}. Received: {dataset.dtype}")
    if dataset.is_virtual or dataset.external is not None:
        raise StoreError(f"{path}: {name} takes its data from elsewhere")
    if dataset.id.get_create_plist().get_nfilters():
        raise StoreError(f"{path}: {name} is packed with a filter, which no shard is")
    stored = min(dataset.id.get_storage_size(), file.id.get_filesize())
    if dataset.shape is None or stored < dataset.nbytes:
        raise StoreError(f"{path}: {name} claims more than is stored")
    return dataset
