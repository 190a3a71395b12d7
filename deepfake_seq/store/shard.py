"""Records to the bytes of an HDF5 file, and back. The format is in docs/store-format.md."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from deepfake_seq.errors import StoreError
from deepfake_seq.store.record import ARRAYS, FeatureRecord, shapes

FORMAT = "deepseq-features"
FORMAT_VERSION = 1
_DAMAGE = (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError)
"""What h5py and JSON raise on damaged bytes."""

_TABLES = ("metadata", "metadata_end", "sha256")


def encode(records: Sequence[FeatureRecord], fingerprint_id: str) -> bytes:
    """The bytes of a shard that holds `records`, which all have the same shape."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("v110", "v110")) as file:
        # Fixed-length text: HDF5 keeps other text in a heap that has no checksum.
        file.attrs["format"] = np.bytes_(FORMAT)
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["fingerprint_id"] = np.bytes_(fingerprint_id)
        for name, dtype in ARRAYS.items():
            stacked = np.stack([getattr(record, name) for record in records]).astype(dtype)
            stored = stacked.view(np.uint8) if name == "mask" else stacked
            # One record is one chunk, so that reading one costs one.
            file.create_dataset(name, data=stored, chunks=(1, *stored.shape[1:]))
        texts = [record.metadata for record in records]
        file["metadata"] = np.frombuffer(b"".join(texts), dtype=np.uint8)
        file["metadata_end"] = np.cumsum([len(text) for text in texts], dtype=np.int64)
        digests = b"".join(record.sha256 for record in records)
        file["sha256"] = np.frombuffer(digests, dtype=np.uint8).reshape(-1, 32)
    return buffer.getvalue()


class ShardReader:
    """One shard, open for reading; a context manager.

    Raises:
        StoreError: The file is not a shard of this format and fingerprint.
    """

    def __init__(self, path: Path, fingerprint_id: str) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r", locking=False)
        except OSError as error:
            raise StoreError(f"{path} is not a readable HDF5 file: {error}") from error
        try:
            self._check(fingerprint_id)
            self._ends = np.asarray(self._file["metadata_end"][:])
        except _DAMAGE as error:
            self.close()
            raise StoreError(f"{path} is not a whole deepseq shard: {error}") from error
        except StoreError:
            self.close()
            raise

    def __enter__(self) -> ShardReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._ends)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def metadata(self) -> list[bytes]:
        """The metadata of every record, read in one go and not yet checked against its digest."""
        data = self._file["metadata"][:].tobytes()
        starts = [0, *self._ends[:-1].tolist()]
        return [data[start:end] for start, end in zip(starts, self._ends.tolist(), strict=True)]

    def read(self, position: int) -> FeatureRecord:
        """The record at `position`, checked against its digest.

        Raises:
            StoreError: The record is damaged. Nothing of it is returned.
        """
        where = f"{self.path}, record {position}"
        try:
            arrays = {name: self._array(name, position) for name in ARRAYS}
            start = int(self._ends[position - 1]) if position else 0
            text = self._file["metadata"][start : int(self._ends[position])].tobytes()
            record = FeatureRecord.from_metadata(text, arrays)
            expected = self._file["sha256"][position].tobytes()
        except _DAMAGE as error:
            raise StoreError(f"{where} is damaged: {error}") from error
        if record.sha256 != expected:
            raise StoreError(f"{where} is damaged: its SHA-256 is not the one it was written with")
        return record

    def _array(self, name: str, position: int) -> npt.NDArray[Any]:
        array = np.asarray(self._file[name][position])
        return array.astype(bool) if name == "mask" else array

    def _check(self, fingerprint_id: str) -> None:
        attributes = self._file.attrs
        if attributes.get("format") != FORMAT.encode():
            raise StoreError(f"{self.path} is an HDF5 file, but not a deepseq shard")
        if attributes["format_version"] != FORMAT_VERSION:
            raise StoreError(
                f"{self.path} is in format {attributes['format_version']}; this version of deepseq "
                f"reads format {FORMAT_VERSION}. Extract again, or use the version that wrote it."
            )
        own = bytes(attributes["fingerprint_id"]).decode("ascii", "replace")
        if own != fingerprint_id:
            raise StoreError(
                f"{self.path} belongs to another store: its fingerprint is {own}, not "
                f"{fingerprint_id}. Take it out of here."
            )
        for name in (*ARRAYS, *_TABLES):
            self._require_plain(name)
        count, frames, width = self._file["features"].shape
        for name, shape in shapes(frames, width).items():
            dataset = self._file[name]
            dtype = np.dtype("|u1" if name == "mask" else ARRAYS[name])
            if dataset.shape != (count, *shape) or dataset.dtype != dtype:
                raise StoreError(
                    f"{self.path}: {name} must be {dtype} {(count, *shape)}. "
                    f"Received: {dataset.dtype} {dataset.shape}"
                )
        if self._file["metadata_end"].shape != (count,) or self._file["sha256"].shape != (
            count,
            32,
        ):
            raise StoreError(f"{self.path}: its tables do not have {count} rows")

    def _require_plain(self, name: str) -> None:
        """Refuse what leads out of the file, what is packed, and what claims more than is there."""
        link = self._file.get(name, getlink=True)
        dataset = self._file.get(name) if isinstance(link, h5py.HardLink) else None
        if not isinstance(dataset, h5py.Dataset):
            raise StoreError(f"{self.path}: {name} is not a data set of this file")
        if dataset.is_virtual or dataset.external is not None:
            raise StoreError(f"{self.path}: {name} takes its data from elsewhere")
        if dataset.id.get_create_plist().get_nfilters():
            raise StoreError(f"{self.path}: {name} is packed with a filter, which no shard is")
        if dataset.id.get_storage_size() < dataset.nbytes:
            raise StoreError(f"{self.path}: {name} claims more than is stored")
