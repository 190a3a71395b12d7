"""Remove and rename records: the rows to change, and the journal that survives a crash.

A shard is never changed. One that contains a row to remove or rename is replaced: its other rows
are written to a new shard, and the old shard is removed. As several shards may be concerned, the
changes are first written to a journal; if the process ends, the next writer completes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from deepfake_seq import atomic
from deepfake_seq.errors import StoreError
from deepfake_seq.store.record_ids import VIEW_FACT, clip_id_of
from deepfake_seq.store.records.record import Record
from deepfake_seq.store.shards.index import Index, with_repair_hint

JOURNAL = "rewrite.json"

_FORMAT = "deepseq-rewrite"
_VERSION = 1

Changes = dict[str, str | None]
"""New id of each record to rename, None for one to remove, by the record's SHA-256 in hex."""


def changes_of(index: Index, names: Mapping[str, str | None]) -> Changes:
    """Return the changes of all rows of some records, outdated revisions and copies included.

    Args:
        index: Index of the store.
        names: New id of each record, None to remove it, by its id.
    """
    return {
        row.sha256: names[row.video_id]
        for indexed in index.shards.values()
        for row in indexed.rows
        if row.video_id in names
    }


def shards_to_replace(index: Index, changes: Changes) -> list[str]:
    """Return the names of the shards with a row to change, sorted."""
    return sorted(
        name
        for name, indexed in index.shards.items()
        if any(row.sha256 in changes for row in indexed.rows)
    )


def remaining_records(index: Index, name: str, changes: Changes, folder: Path) -> Iterator[Record]:
    """Yield the records of a shard that remain after the changes.

    Raises:
        StoreError: A record to be kept or renamed is damaged; the message says how to repair it.
    """
    shard, rows = index.shards[name]
    new_ids = [changes.get(row.sha256, row.video_id) for row in rows]
    for start, stop in _runs(new_ids):
        done = start
        try:
            for record in shard.read_range(start, stop):
                row, new_id = rows[done], new_ids[done]
                if (record.video_id, record.revision) != (row.video_id, row.revision):
                    raise StoreError(f"{shard.path}: the index does not match record {done}")
                assert new_id is not None
                yield record if new_id == row.video_id else _renamed(record, new_id)
                done += 1
        except StoreError as error:
            message = with_repair_hint(error, folder)
            raise StoreError(f"{rows[done].video_id}: {message}") from error


def require_intact(index: Index, changes: Changes, folder: Path) -> None:
    """Raise if a record that remains after the changes is damaged.

    Raises:
        StoreError: See `remaining_records`.
    """
    for name in shards_to_replace(index, changes):
        for _ in remaining_records(index, name, changes, folder):
            pass  # reading a record checks it


def _runs(values: Sequence[str | None]) -> Iterator[tuple[int, int]]:
    """Yield start and stop of each run of values that are not None."""
    for is_kept, positions in groupby(range(len(values)), lambda n: values[n] is not None):
        if is_kept:
            run = list(positions)
            yield run[0], run[-1] + 1


def _renamed(record: Record, video_id: str) -> Record:
    facts = record.facts
    if isinstance(view := facts.get(VIEW_FACT), dict):
        facts = {**facts, VIEW_FACT: {**view, "of": clip_id_of(video_id)}}
    return replace(record, video_id=video_id, facts=facts)


def write_journal(store: Path, changes: Changes, scratch: Path) -> None:
    """Write the changes durably; from now on they are completed even after a crash."""
    values = {"format": _FORMAT, "format_version": _VERSION, "changes": changes}
    atomic.write_bytes(store / JOURNAL, f"{json.dumps(values, indent=1)}\n".encode(), scratch)


def read_journal(store: Path) -> Changes:
    """Return the changes that a writer has begun; empty if there are none.

    Raises:
        StoreError: The journal is damaged.
    """
    path = store / JOURNAL
    try:
        values: Any = json.loads(path.read_bytes())
        if values["format"] != _FORMAT or values["format_version"] != _VERSION:
            raise ValueError(f"unknown format {values['format']!r} {values['format_version']!r}")
        changes = dict(values["changes"])
        if not all(type(name) in (str, type(None)) for name in changes.values()):
            raise TypeError("the new names must be text")
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(
            f"{path} lists records that were being removed or renamed, but it cannot be read: "
            f"{error}. Delete it, and remove the videos again."
        ) from error
    return changes


def remove_journal(store: Path) -> None:
    """Remove the journal: all changes are on the disk."""
    (store / JOURNAL).unlink(missing_ok=True)
    atomic.fsync_directory(store)
