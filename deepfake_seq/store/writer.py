"""Writing to a store: claim, commit, seal. Several processes may do so at once."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from deepfake_seq import atomic
from deepfake_seq.config import SHARD_RECORDS
from deepfake_seq.errors import FingerprintMismatchError, StoreError
from deepfake_seq.store.description import FILE_NAME, StoreDescription
from deepfake_seq.store.encoding import IndexRow, write_shard
from deepfake_seq.store.index import listing
from deepfake_seq.store.locks import Lock, Locks, WriterFolder
from deepfake_seq.store.record import FeatureRecord
from deepfake_seq.store.store import FeatureStore

_LOG = logging.getLogger(__name__)


class StoreWriter(FeatureStore):
    """A store to write to; a context manager, which gives back what it holds.

    Nothing is made on the disk before it is founded, or the first claim or commit.

    Args:
        path: The directory, which need not exist.
        description: What the features depend on and were made with.
        shard_records: How many records a sealed shard holds.
    """

    def __init__(
        self, path: Path, description: StoreDescription, shard_records: int = SHARD_RECORDS
    ) -> None:
        super().__init__(path, description)
        self._shard_records = shard_records
        self._claims: dict[str, Lock] = {}
        self._started: tuple[Locks, WriterFolder] | None = None
        self._commits_unsealed = 0

    @classmethod
    def create(
        cls, path: Path, description: StoreDescription, shard_records: int = SHARD_RECORDS
    ) -> StoreWriter:
        """A writer for the store at `path`, or for one to be made there.

        Raises:
            FingerprintMismatchError: The store there has another fingerprint; says what differs.
            StoreError: `path` is no directory, or there are shards without a description.
        """
        if path.exists() and not path.is_dir():
            raise StoreError(f"{path} is a file; a store is a directory. Give another --out.")
        if (path / FILE_NAME).exists() or listing(path):
            description = _agreed(path, description)
        return cls(path, description, shard_records)

    def found(self) -> Path:
        """Make the store if it is not there; gives the folder in it that only this writer has.

        Raises:
            StoreError: The directory cannot be written.
        """
        with self._writing() as (_, folder):
            return folder.path

    def claim(self, video_id: str, *, wait: bool = False) -> bool:
        """Keep a video for this writer until it is committed or released.

        Args:
            video_id: The video.
            wait: Whether to wait for another writer that has it. Nothing else must be claimed then,
                or two writers could wait for each other.

        Returns:
            False where another writer has it. If True, whatever others have committed of it before
            is known to this object.

        Raises:
            StoreError: The directory cannot be written.
        """
        if video_id in self._claims:
            return True
        with self._writing() as (own, _):
            lock = own.claim(video_id)
            if not lock.acquire(wait=wait):
                return False
            self._claims[video_id] = lock
            self.refresh()
        return True

    def release(self, video_id: str) -> None:
        """Give a claimed video back to whoever wants it; nothing happens if it is not claimed."""
        claim = self._claims.pop(video_id, None)
        if claim:
            claim.release()

    def commit(self, record: FeatureRecord) -> None:
        """Keep `record` for good, in the place of an older one of the same video.

        When this returns, the record survives a crash of the machine. Where it does not, the store
        holds either what it held before or the new record, whole. A video that is not claimed is
        claimed first, and waited for; it is given back in any case.

        Raises:
            StoreError: The disk does not take it.
        """
        video_id = record.video_id
        self.claim(video_id, wait=True)
        try:
            before = self._index.locations.get(video_id)
            alone = before is not None and len(self._index.shards[before.shard].rows) == 1
            if before:
                record = replace(record, revision=before.revision + 1)
            with self._writing():
                self._write([record])
                if before and alone:
                    self._unlink([before.shard])
                    self._index.forget({before.shard} & self._index.shards.keys())
        finally:
            self.release(video_id)
        self._commits_unsealed += 1
        if self._commits_unsealed >= self._shard_records:
            self.seal()

    def add(self, records: Sequence[FeatureRecord]) -> None:
        """Keep records of claimed videos that the store does not hold, in one shard, as they are.

        Raises:
            StoreError: The disk does not take them.
        """
        with self._writing():
            self._write(records)

    def seal(self) -> None:
        """Pack the records of small shards into shards of `shard_records`.

        The small ones are removed once every record of theirs has been read back from a larger one.
        A damaged shard is left alone. Does nothing while another process is at it.

        Raises:
            StoreError: The disk does not take it.
        """
        with self._writing() as (own, _), own.maintenance(wait=False) as mine:
            if mine:
                self._seal()
                self._commits_unsealed = 0

    def close(self) -> None:
        """Give back what was claimed and not committed. The object can still be read."""
        while self._claims:
            self._claims.popitem()[1].release()
        if self._started:
            self._started[1].close()
            self._started = None

    @contextmanager
    def _writing(self) -> Iterator[tuple[Locks, WriterFolder]]:
        """Be ready to write; what the disk then refuses becomes one clear line."""
        try:
            self._started = self._started or self._start()
            yield self._started
        except OSError as error:
            raise StoreError(
                f"cannot write to {self.path}: {error.strerror or error}. What was committed is "
                "kept; the same command goes on from there."
            ) from error

    def _start(self) -> tuple[Locks, WriterFolder]:
        """Found the store if it is not there, and clear away what dead writers left."""
        atomic.make_directory(self.path)
        own = Locks(self.path)
        own.remove_leftovers()
        folder = own.writer_folder()
        try:
            with own.maintenance(wait=True):
                if (self.path / FILE_NAME).exists():
                    self.description = _agreed(self.path, self.description)
                else:
                    data = self.description.to_bytes()
                    atomic.write_bytes(self.path / FILE_NAME, data, folder.path)
            self.refresh()
        except BaseException:
            folder.close()
            raise
        return own, folder

    def _write(self, records: Sequence[FeatureRecord]) -> str:
        """Write a shard, named by its content, and take it into the index; gives its name."""
        self._require_shape(records)
        assert self._started, "writing begins with _start"
        folder = self._started[1]
        name = write_shard(self.path, records, self.description, folder.path)
        if name not in self._index.shards:
            try:
                self._index.add(name)
            except FileNotFoundError:  # another writer has sealed it already
                self.refresh()
        return name

    def _require_shape(self, records: Sequence[FeatureRecord]) -> None:
        shapes = {record.features.shape for record in records} | {self._index.shape} - {None}
        if len(shapes) > 1:
            raise StoreError(f"{self.path} can hold records of one shape. Received: {shapes}")

    def _unlink(self, names: Collection[str]) -> None:
        for name in names:
            (self.path / name).unlink(missing_ok=True)
        atomic.fsync_directory(self.path)

    def _seal(self) -> None:
        self.refresh()
        sparse = [
            name
            for name in self._index.shards
            if len(self._index.live(name)) <= self._shard_records // 2
        ]
        written = {self._write(group) for group in self._groups(sparse)}
        outdated = {
            name: self._index.shards[name].rows
            for name in sparse
            if name in self._index.shards and name not in written
        }
        self._index.forget(outdated)
        self._unlink(
            [name for name, rows in outdated.items() if self._all_readable(rows, outdated)]
        )
        self.refresh()

    def _groups(self, shards: Collection[str]) -> Iterator[list[FeatureRecord]]:
        """The records that stand in some shards, by id, as many at a time as a shard holds."""
        ids = sorted(video_id for name in shards for video_id in self._index.live(name))
        group: list[FeatureRecord] = []
        for video_id in ids:
            try:
                group.append(self[video_id])
            except StoreError as error:
                _LOG.warning("not sealed: %s", error)
            if len(group) == self._shard_records:
                yield group
                group = []
        if group:
            yield group

    def _all_readable(self, rows: Sequence[IndexRow], elsewhere: Collection[str]) -> bool:
        """Whether each record, or a newer one, can be read outside the shards `elsewhere`."""
        for row in rows:
            place = self._index.locations.get(row.video_id)
            if place is None or place.shard in elsewhere or place.revision < row.revision:
                return False
            try:
                record = self._index.shards[place.shard].shard.read(place.position)
            except (FileNotFoundError, StoreError):
                return False
            if (record.video_id, record.revision) != (row.video_id, place.revision):
                return False
        return True


def _agreed(path: Path, description: StoreDescription) -> StoreDescription:
    """The description of the store at `path`, if it has the same fingerprint."""
    existing = StoreDescription.read(path)
    differences = existing.fingerprint.differences(description.fingerprint)
    if differences:
        raise FingerprintMismatchError(
            f"{path} was extracted with other settings: {'; '.join(differences)}. "
            "Use its settings, or give another --out."
        )
    return existing
