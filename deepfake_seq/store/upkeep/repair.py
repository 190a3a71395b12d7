"""Save what is whole in a damaged store, and set the rest aside."""

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
from deepfake_seq.store.shards.index import listing
from deepfake_seq.store.shards.kinds import KINDS
from deepfake_seq.store.shards.limits import ShardLimits
from deepfake_seq.store.shards.read import Shard
from deepfake_seq.store.upkeep.verify import StoreReport, verify

QUARANTINE = "quarantine"


def repair(path: Path) -> StoreReport:
    """Make the store at `path`, of whatever kind, whole, at the price of the records that are not.

    A shard in which something is wrong is moved to `quarantine/` once its good records stand in a
    new shard. Nothing is deleted but what dead writers left. Others may go on writing meanwhile.

    Returns:
        What was found, with `quarantined` filled in.

    Raises:
        StoreError: There is no store, its description cannot be restored, or the disk does not take
            what has to be written.
    """
    try:
        return _repair(path)
    except OSError as error:
        raise StoreError(
            f"cannot write to {path}: {error.strerror or error}. Nothing was lost; repair again."
        ) from error


def _repair(path: Path) -> StoreReport:
    description = _description(path)
    own = Locks(path)
    removed = own.remove_leftovers()
    with own.maintenance(wait=True):
        folder = own.writer_folder()
        try:
            if description is None:
                _restore_description(path, folder.path)
            report = verify(path)
            for name in report.bad_shards:
                # A writer may have replaced its only record meanwhile, and removed it.
                with contextlib.suppress(FileNotFoundError):
                    if name not in report.strangers:
                        _rescue(path, name, report, folder.path)
                    report.quarantined.append(_set_aside(path, name))
        finally:
            folder.close()
    report.leftovers = removed
    return report


def _description(path: Path) -> StoreDescription | None:
    """The store's description, or None where it has to be restored from the shards."""
    try:
        return StoreDescription.read(path)
    except DamagedDescriptionError:
        return None


def _restore_description(path: Path, scratch: Path) -> None:
    """Write the description that most shards hold."""
    copies: Counter[bytes] = Counter()
    for name in listing(path):
        with contextlib.suppress(StoreError):
            copies[Shard(path / name, None).description().to_bytes()] += 1
    if not copies:
        raise StoreError(f"{path}: no shard holds a whole description; nothing can be restored")
    if (path / FILE_NAME).exists():
        _set_aside(path, FILE_NAME)
    atomic.write_bytes(path / FILE_NAME, copies.most_common(1)[0][0], scratch)


def _rescue(path: Path, name: str, report: StoreReport, scratch: Path) -> None:
    """Write the good records of a bad shard into a new one, and read them back."""
    bad = {record.position for record in report.bad_records if record.shard == name}
    description = StoreDescription.read(path)
    kind = KINDS[description.kind]
    try:
        shard = Shard(path / name, report.fingerprint_id, kind)
    except StoreError:
        return  # not one record of it can be read
    good = (shard.read(position) for position in range(len(shard)) if position not in bad)
    for records in ShardLimits.of(kind).groups(good):
        new = write_shard(path, records, description, scratch, salt=name.encode())
        for _ in Shard(path / new, report.fingerprint_id, kind).read_range(0, len(records)):
            pass  # each one is checked as it is read


def _set_aside(path: Path, name: str) -> str:
    """Move a file to the quarantine under a name that is free there."""
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
