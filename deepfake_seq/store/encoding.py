"""Records to the bytes of an HDF5 file, and to a file. The format is in docs/store-format.md."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from deepfake_seq import atomic
from deepfake_seq.store.description import FORMAT_VERSION, StoreDescription
from deepfake_seq.store.record import ARRAYS, FeatureRecord

FORMAT = "deepseq-features"
SUFFIX = ".h5"
STORED = {name: "|u1" if name == "mask" else dtype for name, dtype in ARRAYS.items()}
"""The dtypes of the arrays on disk."""

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


def encode(records: Sequence[FeatureRecord], description: StoreDescription) -> bytes:
    """The bytes of a shard that holds `records`, which all have the same shape."""
    return _encode(records, [record.sha256 for record in records], description)


def _encode(
    records: Sequence[FeatureRecord], digests: Sequence[bytes], description: StoreDescription
) -> bytes:
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
        file.attrs["format"] = np.bytes_(FORMAT)
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["fingerprint_id"] = np.bytes_(description.fingerprint.id)
        for name, text in texts.items():
            file[name] = text
            file.attrs[f"{name}_sha256"] = np.bytes_(hashlib.sha256(text.data).hexdigest())
        file["sha256"] = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 32)
        for name, dtype in STORED.items():
            stacked = np.stack([getattr(record, name) for record in records])
            file[name] = stacked.view(dtype)  # in one piece: a record's row is read by itself
    return buffer.getvalue()


def write_shard(
    folder: Path,
    records: Sequence[FeatureRecord],
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
    atomic.write_bytes(folder / name, _encode(records, digests, description), scratch)
    return name
