"""Make records and stores for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepfake_seq.config import ExtractConfig
from deepfake_seq.store import (
    FaceRecord,
    FaceStore,
    FaceStoreWriter,
    FeatureRecord,
    FeatureStore,
    Fingerprint,
    Record,
    SourceFile,
    Store,
    StoreDescription,
    StoreWriter,
)
from deepfake_seq.store.records.face_record import empty_face_arrays
from deepfake_seq.store.records.record import empty_arrays

FINGERPRINT = Fingerprint({"faces": {"detector": "none", "margin": 0.3}, "versions": {"av": "18"}})
DESCRIPTION = StoreDescription(FINGERPRINT, ExtractConfig().to_dict())
FACES_DESCRIPTION = StoreDescription(FINGERPRINT, {"faces": {"image_format": "webp"}}, kind="faces")


def make_record(
    video_id: str = "real/a.mp4",
    *,
    seed: int = 0,
    valid: int = 16,
    frames: int = 16,
    width: int = 8,
    shift: float = 0.0,
    evidence: Mapping[str, int] | None = None,
    **changes: Any,
) -> FeatureRecord:
    """Return a record with `valid` frames of noise with mean `shift`.

    Args:
        evidence: Width of each evidence block by name.
    """
    generator = np.random.default_rng(seed)
    arrays = empty_arrays(frames, width)
    arrays["features"][:valid] = generator.normal(shift, 1.0, size=(valid, width))
    values = {**_fill_frames(video_id, arrays, valid), **arrays}
    if evidence:
        blocks = {name: np.zeros((frames, size), np.float16) for name, size in evidence.items()}
        for block in blocks.values():
            block[:valid] = generator.normal(shift, 1.0, size=(valid, block.shape[1]))
        values["evidence"] = blocks
        values["facts"] = {**values["facts"], "evidence": {name: {} for name in evidence}}
    return FeatureRecord(**{**values, **changes})


def make_faces(
    video_id: str = "real/a.mp4",
    *,
    seed: int = 0,
    valid: int = 16,
    frames: int = 16,
    max_bytes: int = 60,
    **changes: Any,
) -> FaceRecord:
    """Return a record with `valid` files of noise, up to `max_bytes` each, instead of images."""
    generator = np.random.default_rng(seed)
    arrays = empty_face_arrays(frames)
    arrays["landmarks"][:valid] = generator.uniform(10, 110, size=(valid, 5, 2))
    lengths = np.zeros(frames, dtype=np.int64)
    lengths[:valid] = generator.integers(max_bytes // 2, max_bytes, size=valid, endpoint=True)
    images = generator.integers(0, 256, size=lengths.sum(), dtype=np.uint8)
    values = {**_fill_frames(video_id, arrays, valid), "image_bytes": lengths, "images": images}
    return FaceRecord(**{**values, **arrays, **changes})


def _fill_frames(video_id: str, arrays: dict[str, Any], valid: int) -> dict[str, Any]:
    """Fill the frame arrays of a record in place, and return its other fields."""
    rows = slice(valid)
    arrays["mask"][rows] = True
    arrays["frame_index"][rows] = np.arange(valid) * 3
    arrays["pts_seconds"][rows] = np.arange(valid) * 0.1
    arrays["boxes_xyxy"][rows] = [10, 20, 110, 140]
    sizes = np.zeros((len(arrays["mask"]), 2), dtype=np.int32)
    sizes[rows] = [160, 160]
    arrays["frame_size"] = sizes
    arrays["scores"][rows] = 0.9
    return {
        "video_id": video_id,
        "status": "ok" if valid else "no_face",
        "reason": "" if valid else "no face in the 16 sampled frames",
        "label": 0,
        "groups": (),
        "split": "",
        "source": SourceFile(
            1000, 123, hashlib.sha256(video_id.encode("utf-8", "surrogatepass")).hexdigest()
        ),
        "facts": {"frames_sampled": len(arrays["mask"]), "faces_found": valid},
    }


def make_store(
    path: Path, *, clips: int = 40, people: int = 20, width: int = 8, shift: float = 1.0
) -> FeatureStore:
    """Write a store of real and fake clips; all features of the fakes are higher by `shift`."""
    return write_store(
        path,
        (
            make_record(
                f"{number:03}.mp4",
                seed=number,
                width=width,
                shift=shift * (number % 2),
                label=number % 2,
                groups=(f"person{number % people}",),
            )
            for number in range(clips)
        ),
    )


def write_store(path: Path, records: Iterable[FeatureRecord] = (), **changes: Any) -> FeatureStore:
    """Write a store of `records`, one commit each, and open it for reading."""
    return FEATURES.write(path, records, **changes)


def same_record(one: Record, other: Record) -> bool:
    """Return whether two records have the same SHA-256."""
    return one.sha256 == other.sha256


@dataclass(frozen=True)
class StoreKind:
    """Everything that a test needs to make stores of one kind.

    Attributes:
        name: Kind, as in `StoreDescription`.
        make: Function that makes a record.
        description: Description of a store.
        store: Class that reads stores.
        writer: Class that writes stores.
    """

    name: str
    make: Callable[..., Any]
    description: StoreDescription
    store: type[Store[Any]]
    writer: Any

    def write(self, path: Path, records: Iterable[Record] = (), **changes: Any) -> Any:
        """Write a store of `records`, one commit each, and open it for reading."""
        with self.writer.create(path, self.description, **changes) as writer:
            writer.claim("")  # creates the store even without records
            for record in records:
                writer.commit(record)
        return self.store.open(path)


FEATURES = StoreKind("features", make_record, DESCRIPTION, FeatureStore, StoreWriter)
FACES = StoreKind("faces", make_faces, FACES_DESCRIPTION, FaceStore, FaceStoreWriter)
KINDS = (FEATURES, FACES)


def payload(record: Record) -> bytes:
    """Return the bytes of a record's large array, as stored in its shard."""
    name = list(record.DTYPES)[-1]
    return bytes(getattr(record, name).tobytes())
