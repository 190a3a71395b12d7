"""`small_run` for a face cache, which is sealed by bytes as well as by records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from records import FACES, make_faces
from small_run import complete, digests

from deepfake_seq.store import FaceRecord, FaceStore

RECORDS = [make_faces(f"{number}.mp4", seed=number, valid=number % 3 * 8) for number in range(6)]
RELABELLED = replace(RECORDS[1], label=1)


def small_run(path: Path, on_commit: Callable[[FaceRecord], None] = lambda record: None) -> None:
    """Complete a store, continuing from the state that an earlier run left."""
    description = FACES.description
    with FACES.writer.create(path, description, shard_records=4, shard_bytes=1200) as writer:
        complete(writer, RECORDS, RELABELLED, on_commit)


def contents(path: Path) -> dict[str, str]:
    """Read all records of a store, and return their SHA-256 by video id."""
    return digests(FaceStore, path)
