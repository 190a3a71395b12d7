"""Write to a store: claim, commit, seal. Several processes may write at the same time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self, cast

from deepfake_seq import atomic
from deepfake_seq.config import SHARD_RECORDS
from deepfake_seq.errors import FingerprintMismatchError, StoreError
from deepfake_seq.store.faces import FaceStore
from deepfake_seq.store.features import FeatureStore
from deepfake_seq.store.locks import Lock, Locks, WriterFolder
from deepfake_seq.store.origins import Origin
from deepfake_seq.store.origins import update as update_origins
from deepfake_seq.store.record_ids import video_of
from deepfake_seq.store.records.face_record import FaceRecord
from deepfake_seq.store.records.record import FeatureRecord
from deepfake_seq.store.rewriting import (
    Changes,
    changes_of,
    read_journal,
    remaining_records,
    remove_journal,
    require_intact,
    shards_to_replace,
    write_journal,
)
from deepfake_seq.store.shards.description import FILE_NAME, RANGES, StoreDescription
from deepfake_seq.store.shards.encode import IndexRow, write_shard
from deepfake_seq.store.shards.index import list_shards
from deepfake_seq.store.shards.kinds import KINDS
from deepfake_seq.store.shards.limits import ShardLimits
from deepfake_seq.store.shards.sealing import all_readable, is_sparse
from deepfake_seq.store.store import R, Store, require_kind

_LOG = logging.getLogger(__name__)


class Writer(Store[R]):
    """A store to write to; a context manager that releases its claims on exit.

    Nothing is created on the disk before `initialise`, the first claim or the first commit.

    Args:
        path: Directory of the store; it need not exist.
        description: Fingerprint of the records, and the settings that make them.
        shard_records: Maximum number of records in a sealed shard.
        shard_bytes: Maximum size of the large arrays in a sealed shard of more than one record, in
            bytes; by default the limit of the kind.

    Attributes:
        completed_removals: Ids of the records whose interrupted removal this writer completed.
    """

    def __init__(
        self,
        path: Path,
        description: StoreDescription,
        shard_records: int = SHARD_RECORDS,
        shard_bytes: float | None = None,
    ) -> None:
        super().__init__(path, description)
        size = self.kind.shard_bytes if shard_bytes is None else shard_bytes
        self._limits = ShardLimits(shard_records, size)
        self._claims: dict[str, Lock] = {}
        self._started: tuple[Locks, WriterFolder] | None = None
        self._unsealed = self._unsealed_bytes = 0
        self.completed_removals: Set[str] = frozenset()

    @classmethod
    def create(
        cls,
        path: Path,
        description: StoreDescription,
        shard_records: int = SHARD_RECORDS,
        shard_bytes: float | None = None,
    ) -> Self:
        """Return a writer for the store at `path`, which need not exist.

        Raises:
            FingerprintMismatchError: The store has another fingerprint; the message lists the
                differences.
            StoreError: `path` is a file, a store of another kind, or a directory of shards without
                a description.
        """
        if path.exists() and not path.is_dir():
            raise StoreError(f"{path} is a file, but a store is a directory. Give another --out.")
        if (path / FILE_NAME).exists() or list_shards(path):
            description = _matching_description(path, description)
        return cls(path, description, shard_records, shard_bytes)

    def initialise(self) -> Path:
        """Create the store if it does not exist; return this writer's own folder in it.

        Raises:
            StoreError: The directory cannot be written.
        """
        with self._writing() as (_, folder):
            return folder.path

    def claim(self, video_id: str, *, wait: bool = False) -> bool:
        """Reserve a video for this writer until it is committed or released.

        Args:
            video_id: Id of the video.
            wait: Whether to wait for another writer's claim. No other video may be claimed then,
                or two writers could wait for each other.

        Returns:
            False if another writer has claimed the video. If True, this object has been refreshed
            with all earlier commits.

        Raises:
            StoreError: The directory cannot be written.
        """
        if video_id in self._claims:
            return True
        with self._writing() as (locks, _):
            lock = locks.claim(video_id)
            if not lock.acquire(wait=wait):
                return False
            self._claims[video_id] = lock
            self.refresh()
        return True

    def release(self, video_id: str) -> None:
        """Release the claim on a video; do nothing if it is not claimed."""
        claim = self._claims.pop(video_id, None)
        if claim:
            claim.release()

    def commit(self, record: R) -> None:
        """Write `record` durably, replacing an older record of the same video.

        When this returns, the record survives a crash of the machine. If it raises, the store has
        either its previous content or the complete new record. A video that is not claimed is
        claimed first, waiting if necessary; the claim is released in any case.

        Raises:
            StoreError: The disk refuses the write.
        """
        video_id = record.video_id
        self.claim(video_id, wait=True)
        try:
            previous = self._index.locations.get(video_id)
            alone = previous is not None and len(self._rows(previous.shard)) == 1
            if previous:
                record = replace(record, revision=previous.revision + 1)
            with self._writing():
                self._write([record])
                if previous and alone:
                    self._unlink([previous.shard])
                    self._index.remove({previous.shard} & self._index.shards.keys())
        finally:
            self.release(video_id)
        self._unsealed += 1
        if self._limits.is_sparse(0, record.size_bytes):
            self._unsealed_bytes += record.size_bytes
        if self._limits.is_reached(self._unsealed, self._unsealed_bytes):
            self.seal()

    def add(self, records: Sequence[R]) -> None:
        """Write new records of claimed videos into one shard, keeping their revisions.

        Raises:
            StoreError: The disk refuses the write.
        """
        with self._writing():
            self._write(records)

    @contextmanager
    def removing(self, video_ids: Collection[str]) -> Iterator[Callable[[], None]]:
        """Prepare to remove all records of videos, and yield the function that does it.

        The function removes all of them or none, even if the process ends: the next writer then
        completes the removal. No other run can write to the store meanwhile.

        Raises:
            StoreError: Another run is writing to the store, a record in one of the shards is
                damaged, or the disk refuses the write.
        """
        with self._writing() as (locks, folder), locks.maintenance(wait=True):
            if locks.has_other_writers(folder):
                raise StoreError(
                    f"another run is writing to {self.path}. Nothing was removed; try again when "
                    "it has ended."
                )
            self.refresh()
            wanted = set(video_ids)
            ids = (row.video_id for shard in self._index.shards.values() for row in shard.rows)
            changes = changes_of(
                self._index, {name: None for name in ids if video_of(name) in wanted}
            )
            require_intact(self._index, changes, self.path)
            yield partial(self._change, changes)

    def rename(self, names: Mapping[str, str]) -> None:
        """Give records new ids, as atomically as `removing`; the caller has claimed the videos.

        Args:
            names: New id of each record by its id; no record in the store has a new id.

        Raises:
            StoreError: A record in one of the shards is damaged, or the disk refuses the write.
        """
        with self._writing() as (locks, _), locks.maintenance(wait=True):
            self.refresh()
            changes = changes_of(self._index, names)
            require_intact(self._index, changes, self.path)
            self._change(changes)

    def update_origins(self, origins: Mapping[str, Origin], removed: Collection[str] = ()) -> None:
        """Note where the videos of records were; see `Origins`.

        Args:
            origins: New origins by `video_id`.
            removed: Ids of videos whose origins are forgotten.

        Raises:
            StoreError: The disk refuses the write.
        """
        with self._writing() as (locks, folder), locks.origins():
            update_origins(self.path, folder.path, origins, removed)

    def seal(self) -> None:
        """Pack the records of small shards into full ones.

        A small shard is removed once each of its records has been read back from a larger shard.
        Damaged shards stay as they are. Does nothing while another process seals or repairs.

        Raises:
            StoreError: The disk refuses the write.
        """
        with self._writing() as (locks, _), locks.maintenance(wait=False) as held:
            if held:
                self._seal()
                self._unsealed = self._unsealed_bytes = 0

    def close(self) -> None:
        """Release all claims. The store can still be read through this object."""
        while self._claims:
            self._claims.popitem()[1].release()
        if self._started:
            self._started[1].close()
            self._started = None

    @contextmanager
    def _writing(self) -> Iterator[tuple[Locks, WriterFolder]]:
        """Prepare for writing, and turn an error of the disk into a `StoreError`."""
        try:
            self._started = self._started or self._start()
            yield self._started
        except OSError as error:
            raise StoreError(
                f"cannot write to {self.path}: {error.strerror or error}. Committed records are "
                "kept; run the same command again to continue."
            ) from error

    def _start(self) -> tuple[Locks, WriterFolder]:
        """Create the store if it does not exist, and remove what dead writers left."""
        atomic.make_directory(self.path)
        locks = Locks(self.path)
        locks.remove_leftovers()
        folder = locks.writer_folder()
        try:
            with locks.maintenance(wait=True):
                if (self.path / FILE_NAME).exists():
                    self.description = _matching_description(self.path, self.description)
                else:
                    data = self.description.to_bytes()
                    if self.description.ranges is not None:
                        atomic.write_bytes(self.path / RANGES, self.description.ranges, folder.path)
                    atomic.write_bytes(self.path / FILE_NAME, data, folder.path)
                self.refresh()
                self._started = locks, folder
                self._complete_changes()
        except BaseException:
            self._started = None
            folder.close()
            raise
        return locks, folder

    def _change(self, changes: Changes) -> None:
        """Remove or rename records; the caller holds the lock for maintenance."""
        if not changes:
            return
        with self._writing() as (_, folder):
            write_journal(self.path, changes, folder.path)
            self._replace_shards(changes)

    def _complete_changes(self) -> None:
        """Complete the changes that a writer had begun when its process ended."""
        changes = read_journal(self.path)
        if not changes:
            return
        _LOG.info("completing an interrupted change of %d records in %s", len(changes), self.path)
        self.completed_removals = {
            row.video_id
            for name in shards_to_replace(self._index, changes)
            for row in self._rows(name)
            if changes.get(row.sha256, "") is None
        }
        self._replace_shards(changes)

    def _replace_shards(self, changes: Changes) -> None:
        """Apply the changes of the journal, shard by shard, and remove the journal."""
        for name in shards_to_replace(self._index, changes):
            records = remaining_records(self._index, name, changes, self.path)
            for group in self._limits.groups(records):
                new = self._write(cast("Sequence[R]", group))
                for _ in self._index.shards[new].shard.read_range(0, len(group)):
                    pass  # reading a record checks it
            self._unlink([name])
        remove_journal(self.path)
        self.refresh()

    def _write(self, records: Sequence[R]) -> str:
        """Write a shard, add it to the index and return its name."""
        self._require_shape(records)
        assert self._started, "_start must be called before writing"
        folder = self._started[1]
        name = write_shard(self.path, records, self.description, folder.path)
        if name not in self._index.shards:
            try:
                self._index.add(name)
            except FileNotFoundError:  # another writer has sealed it already
                self.refresh()
        return name

    def _require_shape(self, records: Sequence[R]) -> None:
        shapes = {record.shape for record in records} | {self._index.shape} - {None}
        if len(shapes) > 1:
            raise StoreError(
                f"all records in {self.path} must have the same shape. Give another --out. "
                f"Received: {shapes}"
            )

    def _unlink(self, names: Collection[str]) -> None:
        for name in names:
            (self.path / name).unlink(missing_ok=True)
        atomic.fsync_directory(self.path)

    def _seal(self) -> None:
        self.refresh()
        sparse = [name for name in self._index.shards if is_sparse(self._index, name, self._limits)]
        if len(sparse) == 1 and len(self._index.current(*sparse)) == len(self._rows(*sparse)):
            return  # sealing would write the same shard again
        records = self._current_records(sparse)
        written = {self._write(group) for group in self._limits.groups(records)}
        outdated = {
            name: self._rows(name)
            for name in sparse
            if name in self._index.shards and name not in written
        }
        self._index.remove(outdated)
        self._unlink(
            [name for name, rows in outdated.items() if all_readable(self._index, rows, outdated)]
        )
        self.refresh()

    def _rows(self, name: str) -> list[IndexRow]:
        return self._index.shards[name].rows

    def _current_records(self, shards: Collection[str]) -> Iterator[R]:
        """Yield the current records in some shards, sorted by id; skip damaged ones."""
        for video_id in sorted(name for shard in shards for _, name in self._index.current(shard)):
            try:
                yield self[video_id]
            except StoreError as error:
                _LOG.warning("not sealed: %s", error)


class StoreWriter(Writer[FeatureRecord], FeatureStore):
    """A feature store to write to; see `Writer`."""


class FaceStoreWriter(Writer[FaceRecord], FaceStore):
    """A face cache to write to; see `Writer`."""


def _matching_description(path: Path, description: StoreDescription) -> StoreDescription:
    """Read the description of the store at `path`; raise if its kind or fingerprint differs."""
    existing = StoreDescription.read(path)
    require_kind(path, existing, KINDS[description.kind])
    differences = existing.fingerprint.differences(description.fingerprint)
    if differences:
        raise FingerprintMismatchError(
            f"{path} was extracted with other settings: {'; '.join(differences)}. "
            "Use the same settings, or give another --out."
        )
    return existing
