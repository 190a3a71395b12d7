"""Records to the bytes of an HDF5 file, and back. The format is in docs/store-format.md."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from deepfake_seq import atomic
from deepfake_seq.errors import StoreError
from deepfake_seq.store.description import FORMAT_VERSION, StoreDescription
from deepfake_seq.store.guard import DAMAGE, open_plain, plain_dataset
from deepfake_seq.store.record import ARRAYS, FeatureRecord, digest, shapes

FORMAT = "deepseq-features"
BLOCK = 32
"""How many records are read at once where several are wanted."""

_STORED = {name: "|u1" if name == "mask" else dtype for name, dtype in ARRAYS.items()}
_TEXTS = ("description", "index", "metadata")


def encode(records: Sequence[FeatureRecord], description: StoreDescription) -> bytes:
    """The bytes of a shard that holds `records`, which all have the same shape."""
    rows = [record.metadata for record in records]
    index = json.dumps([[record.video_id, record.revision] for record in records])
    texts = {
        "description": np.frombuffer(description.to_bytes(), dtype=np.uint8),
        "index": np.frombuffer(index.encode(), dtype=np.uint8),
        # Rows of one length, padded with zeros: damage to one record's text leaves the others'.
        "metadata": np.array(rows, dtype=np.bytes_).view(np.uint8).reshape(len(rows), -1),
    }
    digests = np.frombuffer(b"".join(record.sha256 for record in records), dtype=np.uint8)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("v110", "v110")) as file:
        # Fixed-length text: HDF5 keeps other text in a heap that has no checksum.
        file.attrs["format"] = np.bytes_(FORMAT)
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["fingerprint_id"] = np.bytes_(description.fingerprint.id)
        for name, text in texts.items():
            file[name] = text
            file.attrs[f"{name}_sha256"] = np.bytes_(hashlib.sha256(text.data).hexdigest())
        file["sha256"] = digests.reshape(-1, 32)
        for name, dtype in _STORED.items():
            stacked = np.stack([getattr(record, name) for record in records])
            # One record's features are one chunk, so that reading them costs one.
            chunks = (1, *stacked.shape[1:]) if name == "features" else None
            file.create_dataset(name, data=stacked.view(dtype), chunks=chunks)
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
    digests = b"".join(record.sha256 for record in records)
    name = f"shard-{hashlib.sha256(salt + digests).hexdigest()[:24]}.h5"
    atomic.write_bytes(folder / name, encode(records, description), scratch)
    return name


class ShardReader:
    """One shard, open for reading; a context manager.

    Args:
        path: The file.
        fingerprint_id: Of the store that it should belong to; None for any.

    Attributes:
        path: The file.

    Raises:
        FileNotFoundError: There is no such file.
        StoreError: The file is not a shard of this format and fingerprint.
    """

    def __init__(self, path: Path, fingerprint_id: str | None) -> None:
        self.path = path
        self._file = open_plain(path)
        try:
            self._check(fingerprint_id)
        except StoreError:
            self.close()
            raise
        except DAMAGE as error:
            self.close()
            raise StoreError(f"{path} is not a whole deepseq shard: {error}") from error

    def __enter__(self) -> ShardReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._datasets["sha256"])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def shape(self) -> tuple[int, int]:
        """The T and D of its records."""
        frames, width = self._datasets["features"].shape[1:]
        return int(frames), int(width)

    def index(self) -> list[tuple[str, int]]:
        """The `video_id` and the revision of each record.

        Raises:
            StoreError: The index is damaged. The records may still be whole.
        """
        text = self._text("index")
        try:
            rows = [(video_id, revision) for video_id, revision in json.loads(text)]
        except DAMAGE as error:
            raise StoreError(f"{self.path}: its index is damaged: {error}") from error
        if not all(type(video_id) is str and type(number) is int for video_id, number in rows):
            raise StoreError(f"{self.path}: its index does not hold names and numbers")
        return rows

    def description(self) -> StoreDescription:
        """The store's description, of which every shard has a copy.

        Raises:
            StoreError: It is damaged.
        """
        return StoreDescription.from_bytes(self._text("description"), self.path)

    def metadata(self, position: int) -> dict[str, Any]:
        """The metadata of one record, without its arrays.

        Raises:
            StoreError: The metadata of the shard is damaged.
        """
        try:
            values = json.loads(self._metadata_rows[position].tobytes().rstrip(b"\0"))
        except DAMAGE as error:
            raise StoreError(f"{self.path}, record {position} is damaged: {error}") from error
        return dict(values)

    def digest(self, position: int) -> bytes:
        """The digest that a record was written with."""
        return bytes(self._datasets["sha256"][position])

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
        if not 0 <= start < stop <= len(self):
            raise StoreError(f"{self.path} has no record {stop - 1}, which its index lists")
        for first in range(start, stop, BLOCK):
            last = min(first + BLOCK, stop)
            try:
                block = {name: rows[first:last] for name, rows in self._datasets.items()}
            except DAMAGE as error:
                raise StoreError(f"{self.path}, record {first} is damaged: {error}") from error
            for number in range(last - first):
                yield self._record(first + number, {name: block[name][number] for name in block})

    def _record(self, position: int, row: dict[str, npt.NDArray[Any]]) -> FeatureRecord:
        where = f"{self.path}, record {position}"
        metadata = row["metadata"].tobytes().rstrip(b"\0")
        # Copies, so that a record that is kept does not keep its block.
        arrays = {name: row[name].astype(dtype) for name, dtype in ARRAYS.items()}
        if digest(metadata, arrays) != row["sha256"].tobytes():
            raise StoreError(f"{where} is damaged: its SHA-256 is not the one it was written with")
        try:
            return FeatureRecord.from_metadata(metadata, arrays)
        except DAMAGE as error:
            raise StoreError(f"{where} is not a record: {error}") from error

    def _check(self, fingerprint_id: str | None) -> None:
        attributes = self._file.attrs
        if attributes.get("format") != FORMAT.encode():
            raise StoreError(f"{self.path} is an HDF5 file, but not a deepseq shard")
        if attributes["format_version"] != FORMAT_VERSION:
            raise StoreError(
                f"{self.path} is in format {attributes['format_version']}; this version of deepseq "
                f"reads format {FORMAT_VERSION}"
            )
        own = bytes(attributes["fingerprint_id"]).decode("ascii", "replace")
        if fingerprint_id not in (own, None):
            raise StoreError(
                f"{self.path} belongs to another store: its fingerprint is {own}, not "
                f"{fingerprint_id}"
            )

    @cached_property
    def _datasets(self) -> dict[str, Any]:
        """Whatever has a row for each record, checked when the first one is read."""
        try:
            return self._checked_datasets()
        except StoreError:
            raise
        except DAMAGE as error:
            raise StoreError(f"{self.path} is not a whole deepseq shard: {error}") from error

    def _checked_datasets(self) -> dict[str, Any]:
        dtypes = {**_STORED, "metadata": "|u1", "sha256": "|u1"}
        datasets = {
            name: plain_dataset(self._file, self.path, name, dtype)
            for name, dtype in dtypes.items()
        }
        count, frames, width = datasets["features"].shape
        rows: dict[str, tuple[int, ...]] = {**shapes(frames, width), "sha256": (32,)}
        rows["metadata"] = datasets["metadata"].shape[1:2]
        for name, dataset in datasets.items():
            if dataset.shape != (count, *rows[name]):
                raise StoreError(
                    f"{self.path}: {name} must be {(count, *rows[name])}. Received: {dataset.shape}"
                )
        return datasets

    @cached_property
    def _metadata_rows(self) -> npt.NDArray[np.uint8]:
        self._text("metadata")
        rows: npt.NDArray[np.uint8] = self._datasets["metadata"][:]
        return rows

    def _text(self, name: str) -> bytes:
        """The bytes of a text, checked against its digest."""
        try:
            data: bytes = plain_dataset(self._file, self.path, name, "|u1")[:].tobytes()
            expected = bytes(self._file.attrs[f"{name}_sha256"]).decode("ascii", "replace")
        except StoreError:
            raise
        except DAMAGE as error:
            raise StoreError(f"{self.path} is not a whole deepseq shard: {error}") from error
        if hashlib.sha256(data).hexdigest() != expected:
            raise StoreError(f"{self.path}: its {name} is damaged")
        return data
