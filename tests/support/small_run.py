"""A small, resumable run with all operations that write to a feature store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from records import DESCRIPTION, make_record

from deepfake_seq.store import FeatureRecord, FeatureStore, Store, StoreWriter
from deepfake_seq.store.store import R
from deepfake_seq.store.writer import Writer

RECORDS = [make_record(f"{number}.mp4", seed=number, valid=number % 3 * 8) for number in range(6)]
RELABELLED = replace(RECORDS[1], label=1)


def small_run(path: Path, on_commit: Callable[[FeatureRecord], None] = lambda record: None) -> None:
    """Complete a store, continuing from the state that an earlier run left."""
    with StoreWriter.create(path, DESCRIPTION, shard_records=4) as writer:
        complete(writer, RECORDS, RELABELLED, on_commit)


def complete(
    writer: Writer[R], records: Iterable[R], relabelled: R, on_commit: Callable[[R], None]
) -> None:
    """Commit the missing records, give one of them another label, and seal."""
    for record in records:
        if record.video_id not in writer:
            writer.commit(record)
            on_commit(record)
    entry = writer.entry(relabelled.video_id)
    if entry is not None and entry.metadata["label"] != relabelled.label:
        writer.commit(relabelled)
        on_commit(relabelled)
    writer.seal()


def contents(path: Path) -> dict[str, str]:
    """Read all records of a store, and return their SHA-256 by video id."""
    return digests(FeatureStore, path)


def digests(kind: type[Store[Any]], path: Path) -> dict[str, str]:
    """Read all records of a store of this kind, and return their SHA-256 by video id."""
    if not (path / "store.json").exists():
        return {}
    with kind.open(path) as store:
        return {record.video_id: record.sha256.hex() for record in store}
