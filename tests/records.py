"""Records and stores made on the spot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from deepfake_seq.config import ExtractConfig
from deepfake_seq.store import (
    FeatureRecord,
    FeatureStore,
    Fingerprint,
    SourceFile,
    StoreDescription,
    StoreWriter,
)
from deepfake_seq.store.record import empty_arrays

FINGERPRINT = Fingerprint({"faces": {"detector": "none", "margin": 0.3}, "versions": {"av": "18"}})
DESCRIPTION = StoreDescription(FINGERPRINT, ExtractConfig().to_dict())


def make_record(
    video_id: str = "real/a.mp4",
    *,
    seed: int = 0,
    valid: int = 16,
    frames: int = 16,
    width: int = 8,
    shift: float = 0.0,
    **changes: Any,
) -> FeatureRecord:
    """A record with `valid` frames of noise round `shift`."""
    generator = np.random.default_rng(seed)
    arrays = empty_arrays(frames, width)
    rows = slice(valid)
    arrays["features"][rows] = generator.normal(shift, 1.0, size=(valid, width))
    arrays["mask"][rows] = True
    arrays["frame_index"][rows] = np.arange(valid) * 3
    arrays["pts_seconds"][rows] = np.arange(valid) * 0.1
    arrays["boxes_xyxy"][rows] = [10, 20, 110, 140]
    arrays["scores"][rows] = 0.9
    values = {
        "video_id": video_id,
        "status": "ok" if valid else "no_face",
        "reason": "" if valid else "no face in the 16 sampled frames",
        "label": 0,
        "groups": (),
        "split": "",
        "source": SourceFile(
            1000, 123, hashlib.sha256(video_id.encode("utf-8", "surrogatepass")).hexdigest()
        ),
        "facts": {"frames_sampled": frames, "faces_found": valid},
        **arrays,
    }
    return FeatureRecord(**{**values, **changes})


def make_store(
    path: Path, *, clips: int = 40, people: int = 20, width: int = 8, shift: float = 1.0
) -> FeatureStore:
    """Real and fake clips of several people; fakes are moved by `shift` in every feature."""
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
    """A store of `records`, each committed by itself; opened for reading."""
    with StoreWriter.create(path, DESCRIPTION, **changes) as writer:
        writer.claim("")  # makes the store, even one without records
        for record in records:
            writer.commit(record)
    return FeatureStore.open(path)


def same_record(one: FeatureRecord, other: FeatureRecord) -> bool:
    """Whether two records are equal in all that is kept."""
    return one.sha256 == other.sha256
