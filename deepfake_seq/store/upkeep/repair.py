"""Repair a damaged store: keep intact records, quarantine damaged shards."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

from deepfake_seq import atomic
from deepfake_seq.errors import StoreError
from deepfake_seq.store.locks import Locks
from deepfake_seq.store.shards.description import (
    FILE_NAME,
    DamagedDescriptionError,
    StoreDescription,
)
from deepfake_seq.store.shards.encode import write_shard
from deepfake_seq.store.shards.index import list_shards
from deepfake_seq.store.shards.kinds import KINDS
from deepfake_seq.store.shards.limits import ShardLimits
from deepfake_seq.store.shards.read import Shard
from deepfake_seq.store.upkeep.verify import StoreReport, verify

QUARANTINE = "quarantine"


def repair(path: Path) -> StoreReport:
    """Repair the feature store or face cache at `path` by removing damaged records.

    The intact records of a damaged shard are copied to a new shard, and the damaged shard is moved
    to `quarantine/`. Only files that dead writers left are deleted. Other processes may write to
    the store at the same time.

    Returns:
        Report on the store before the repair, with `quarantined` filled in.

    Raises:
        StoreError: There is no store, its description cannot be restored, or the disk refuses a
            write.
    """
    try:
        return _repair(path)
    except OSError as error:
        raise StoreError(
            f"cannot write to {path}: {error.strerror or error}. No data was lost. Free some space "
            "or fix the permissions, then repair again."
        ) from error


def _repair(path: Path) -> StoreReport:
    description = _read_description(path)
    locks = Locks(path)
    removed = locks.remove_leftovers()
    with locks.maintenance(wait=True):
        folder = locks.writer_folder()
        try:
            if description is None:
                _restore_description(path, folder.path)
            report = verify(path)
            for name in report.bad_shards:
                # A writer may just have replaced the only record of the shard and removed it.
                with contextlib.suppress(FileNotFoundError):
                    if name not in report.strangers:
                        _copy_intact_records(path, name, report, folder.path)
                    report.quarantined.append(_quarantine(path, name))
        finally:
            folder.close()
    report.leftovers = removed
    return report


def _read_description(path: Path) -> StoreDescription | None:
    """Read the description of the store; None if it must be restored from the shards."""
    try:
        return StoreDescription.read(path)
    except DamagedDescriptionError:
        return None


def _restore_description(path: Path, scratch: Path) -> None:
    """Write the description that is in most shards."""
    copies: Counter[bytes] = Counter()
    for name in list_shards(path):
        with contextlib.suppress(StoreError):
            copies[Shard(path / name, None).description().to_bytes()] += 1
    if not copies:
        raise StoreError(
            f"{path}: no shard contains an intact description, so the store cannot be restored. "
            "Extract again into another directory."
        )
    if (path / FILE_NAME).exists():
        _quarantine(path, FILE_NAME)
    atomic.write_bytes(path / FILE_NAME, copies.most_common(1)[0][0], scratch)


def _copy_intact_records(path: Path, name: str, report: StoreReport, scratch: Path) -> None:
    """Copy the intact records of a damaged shard to a new one, and read them back."""
    bad = {record.position for record in report.bad_records if record.shard == name}
    description = StoreDescription.read(path)
    kind = KINDS[description.kind]
    try:
        shard = Shard(path / name, report.fingerprint_id, kind)
    except StoreError:
        return  # none of its records can be read
    intact = (shard.read(position) for position in range(len(shard)) if position not in bad)
    for records in ShardLimits.of(kind).groups(intact):
        new = write_shard(path, records, description, scratch, salt=name.encode())
        for _ in Shard(path / new, report.fingerprint_id, kind).read_range(0, len(records)):
            pass  # reading a record checks it


def _quarantine(path: Path, name: str) -> str:
    """Move a file to the quarantine under an unused name; return its new relative path."""
    folder = path / QUARANTINE
    folder.mkdir(exist_ok=True)
    target, number = folder / name, 0
    while target.exists():
        number += 1
        target = folder / f"{name}.{number}"
    (path / name).rename(target)
    atomic.fsync_directory(folder)
    atomic.fsync_directory(path)
    return str(target.relative_to(path))
