"""Encode records as an HDF5 file and write it. docs/store-format.md describes the format."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from deepfake_seq import atomic
from deepfake_seq.store.records.record import Record
from deepfake_seq.store.shards.description import FORMAT_VERSION, StoreDescription
from deepfake_seq.store.shards.kinds import KINDS, Kind

SUFFIX = ".h5"

TEXTS = ("description", "index", "metadata")
"""Names of the datasets whose SHA-256 is an attribute of the file."""


class IndexRow(NamedTuple):
    """One record in the index of a shard.

    Attributes:
        video_id: Id of the video.
        revision: Revision of the record.
        sha256: SHA-256 of the record, in hex.
    """

    video_id: str
    revision: int
    sha256: str


def encode(records: Sequence[Record], description: StoreDescription) -> bytes:
    """Return the bytes of a shard with `records`, which must all have the same `layout`."""
    return _encode(records, [record.sha256 for record in records], description).getvalue()


def _encode(
    records: Sequence[Record], digests: Sequence[bytes], description: StoreDescription
) -> io.BytesIO:
    kind = KINDS[description.kind]
    rows = [record.metadata for record in records]
    index = json.dumps(
        [
            [record.video_id, record.revision, digest.hex()]
            for record, digest in zip(records, digests, strict=True)
        ]
    )
    texts = {
        "description": np.frombuffer(description.to_bytes(), dtype=np.uint8),
        "index": np.frombuffer(index.encode(), dtype=np.uint8),
        # Rows of equal length, padded with zeros, so that damage to one leaves the others intact.
        "metadata": np.array(rows, dtype=np.bytes_).view(np.uint8).reshape(len(rows), -1),
    }
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("v110", "v110")) as file:
        # Fixed-length text, because HDF5 keeps other text in a heap without a checksum.
        file.attrs["format"] = np.bytes_(kind.format)
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["fingerprint_id"] = np.bytes_(description.fingerprint.id)
        for name, text in texts.items():
            file[name] = text
            file.attrs[f"{name}_sha256"] = np.bytes_(hashlib.sha256(text.data).hexdigest())
        file["sha256"] = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 32)
        for name in kind.small if kind.is_flat else kind.arrays:
            stacked = np.stack([getattr(record, name) for record in records])
            # Contiguous, so that a record's row can be read alone.
            file[name] = stacked.view(kind.stored[name])
        optional = [record.optional_arrays for record in records]
        # HDF5 has no text of length 0.
        file.attrs["optional"] = np.bytes_(" ".join(optional[0]) or " ")
        for name in optional[0]:
            file[name] = np.stack([arrays[name] for arrays in optional])
        if kind.is_flat:
            _add_flat(file, kind, [getattr(record, kind.payload) for record in records])
    return buffer


def _add_flat(file: h5py.File, kind: Kind, arrays: Sequence[npt.NDArray[Any]]) -> None:
    """Write arrays of different sizes as one dataset, and `spans` with the bounds of each."""
    stops = np.cumsum([len(array) for array in arrays], dtype=np.int64)
    # One zero at the end, so that the dataset is not empty if there are no images.
    flat = file.create_dataset(kind.payload, int(stops[-1]) + 1, kind.stored[kind.payload])
    for array, stop in zip(arrays, stops.tolist(), strict=True):
        if len(array):
            flat[stop - len(array) : stop] = array
    flat[-1:] = 0
    file["spans"] = np.stack([stops - [len(array) for array in arrays], stops], axis=1)


def write_shard(
    folder: Path,
    records: Sequence[Record],
    description: StoreDescription,
    scratch: Path,
    salt: bytes = b"",
) -> str:
    """Write a new shard into a store, atomically.

    Args:
        folder: Directory of the store.
        records: Records of the shard.
        description: Description of the store.
        scratch: Folder for the temporary file, on the same disk.
        salt: Bytes that change the file name of a shard with the same records.

    Returns:
        File name, derived from the records and the salt.

    Raises:
        OSError: The disk refuses the write.
    """
    digests = [record.sha256 for record in records]
    name = f"shard-{hashlib.sha256(salt + b''.join(digests)).hexdigest()[:24]}{SUFFIX}"
    with atomic.replacing(folder / name, scratch) as file:
        file.write(_encode(records, digests, description).getbuffer())
    return name
