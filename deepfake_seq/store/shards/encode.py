"""Records to the bytes of an HDF5 file, and to a file. The format is in docs/store-format.md."""

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
"""The datasets whose SHA-256 is an attribute of the file."""


class IndexRow(NamedTuple):
    """What a shard's index says of one record.

    Attributes:
        video_id: The video.
        revision: The record's revision.
        sha256: Its digest in hex.
    """

    video_id: str
    revision: int
    sha256: str


def encode(records: Sequence[Record], description: StoreDescription) -> bytes:
    """The bytes of a shard that holds `records`, which all have the same shape."""
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
        # Rows of one length, padded with zeros: damage to one record's text leaves the others'.
        "metadata": np.array(rows, dtype=np.bytes_).view(np.uint8).reshape(len(rows), -1),
    }
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("v110", "v110")) as file:
        # Fixed-length text: HDF5 keeps other text in a heap that has no checksum.
        file.attrs["format"] = np.bytes_(kind.format)
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["fingerprint_id"] = np.bytes_(description.fingerprint.id)
        for name, text in texts.items():
            file[name] = text
            file.attrs[f"{name}_sha256"] = np.bytes_(hashlib.sha256(text.data).hexdigest())
        file["sha256"] = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 32)
        for name in kind.small if kind.is_flat else kind.arrays:
            stacked = np.stack([getattr(record, name) for record in records])
            # In one piece: a record's row is read by itself.
            file[name] = stacked.view(kind.stored[name])
        if kind.is_flat:
            _add_flat(file, kind, [getattr(record, kind.payload) for record in records])
    return buffer


def _add_flat(file: h5py.File, kind: Kind, arrays: Sequence[npt.NDArray[Any]]) -> None:
    """Arrays of different sizes one after the other, and where each is."""
    stops = np.cumsum([len(array) for array in arrays], dtype=np.int64)
    # A zero at the end, so that there is a dataset even where there is no image.
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
    """Write a new shard into a store, whole or not at all.

    Args:
        folder: The store.
        records: What it holds.
        description: The store's.
        scratch: Where the file lies until it is whole; on the same disk.
        salt: Makes the name another one than the content alone would.

    Returns:
        The file's name, which follows from the content and the salt.

    Raises:
        OSError: The disk does not take it.
    """
    digests = [record.sha256 for record in records]
    name = f"shard-{hashlib.sha256(salt + b''.join(digests)).hexdigest()[:24]}{SUFFIX}"
    with atomic.replacing(folder / name, scratch) as file:
        file.write(_encode(records, digests, description).getbuffer())
    return name
