"""Writing to a store: claim, commit, seal. Several processes may do so at once."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

from deepfake_seq import atomic
from deepfake_seq.config import SHARD_RECORDS
from deepfake_seq.errors import FingerprintMismatchError, StoreError
from deepfake_seq.store.faces import FaceStore
from deepfake_seq.store.features import FeatureStore
from deepfake_seq.store.locks import Lock, Locks, WriterFolder
from deepfake_seq.store.records.face_record import FaceRecord
from deepfake_seq.store.records.record import FeatureRecord
from deepfake_seq.store.shards.description import FILE_NAME, StoreDescription
from deepfake_seq.store.shards.encode import IndexRow, write_shard
from deepfake_seq.store.shards.index import listing
from deepfake_seq.store.shards.kinds import KINDS
from deepfake_seq.store.shards.limits import ShardLimits
from deepfake_seq.store.shards.sealing import all_readable, is_sparse
from deepfake_seq.store.store import R, Store, require_kind

_LOG = logging.getLogger(__name__)


class Writer(Store[R]):
    """A store to write to; a context manager, which gives back what it holds.

    Nothing is made on the disk before it is founded, or the first claim or commit.

    Args:
        path: The directory, which need not exist.
        description: What the records depend on and were made with.
        shard_records: How many records a sealed shard holds at most.
        shard_bytes: How many bytes of their large arrays it holds, unless a single record has more;
            what suits the kind by default.
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

    @classmethod
    def create(
        cls,
        path: Path,
        description: StoreDescription,
        shard_records: int = SHARD_RECORDS,
        shard_bytes: float | None = None,
    ) -> Self:
        """A writer for the store at `path`, or for one to be made there.

        Raises:
            FingerprintMismatchError: The store there has another fingerprint; says what differs.
            StoreError: `path` is no directory, a store of another kind, or holds shards without a
                description.
        """
        if path.exists() and not path.is_dir():
            raise StoreError(f"{path} is a file; a store is a directory. Give another --out.")
        if (path / FILE_NAME).exists() or listing(path):
            description = _agreed(path, description)
        return cls(path, description, shard_records, shard_bytes)

    def initialise(self) -> Path:
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

    def commit(self, record: R) -> None:
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
            alone = before is not None and len(self._rows(before.shard)) == 1
            if before:
                record = replace(record, revision=before.revision + 1)
            with self._writing():
                self._write([record])
                if before and alone:
                    self._unlink([before.shard])
                    self._index.forget({before.shard} & self._index.shards.keys())
        finally:
            self.release(video_id)
        self._unsealed += 1
        if self._limits.is_sparse(0, record.size_bytes):
            self._unsealed_bytes += record.size_bytes
        if self._limits.is_reached(self._unsealed, self._unsealed_bytes):
            self.seal()

    def add(self, records: Sequence[R]) -> None:
        """Keep records of claimed videos that the store does not hold, in one shard, as they are.

        Raises:
            StoreError: The disk does not take them.
        """
        with self._writing():
            self._write(records)

    def seal(self) -> None:
        """Pack the records of small shards into full ones.

        The small ones are removed once every record of theirs has been read back from a larger one.
        A damaged shard is left alone. Does nothing while another process is at it.

        Raises:
            StoreError: The disk does not take it.
        """
        with self._writing() as (own, _), own.maintenance(wait=False) as mine:
            if mine:
                self._seal()
                self._unsealed = self._unsealed_bytes = 0

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

    def _write(self, records: Sequence[R]) -> str:
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

    def _require_shape(self, records: Sequence[R]) -> None:
        shapes = {record.shape for record in records} | {self._index.shape} - {None}
        if len(shapes) > 1:
            raise StoreError(f"{self.path} can hold records of one shape. Received: {shapes}")

    def _unlink(self, names: Collection[str]) -> None:
        for name in names:
            (self.path / name).unlink(missing_ok=True)
        atomic.fsync_directory(self.path)

    def _seal(self) -> None:
        self.refresh()
        sparse = [name for name in self._index.shards if is_sparse(self._index, name, self._limits)]
        if len(sparse) == 1 and len(self._index.live(*sparse)) == len(self._rows(*sparse)):
            return  # it would be written again as it is
        written = {self._write(group) for group in self._limits.groups(self._standing(sparse))}
        outdated = {
            name: self._rows(name)
            for name in sparse
            if name in self._index.shards and name not in written
        }
        self._index.forget(outdated)
        self._unlink(
            [name for name, rows in outdated.items() if all_readable(self._index, rows, outdated)]
        )
        self.refresh()

    def _rows(self, name: str) -> list[IndexRow]:
        return self._index.shards[name].rows

    def _standing(self, shards: Collection[str]) -> Iterator[R]:
        """The records that stand in some shards, by id."""
        for video_id in sorted(name for shard in shards for _, name in self._index.live(shard)):
            try:
                yield self[video_id]
            except StoreError as error:
                _LOG.warning("not sealed: %s", error)


class StoreWriter(Writer[FeatureRecord], FeatureStore):
    """A feature store to write to; see `Writer`."""


class FaceStoreWriter(Writer[FaceRecord], FaceStore):
    """A face cache to write to; see `Writer`."""


def _agreed(path: Path, description: StoreDescription) -> StoreDescription:
    """The description of the store at `path`, if it has the same kind and fingerprint."""
    existing = StoreDescription.read(path)
    require_kind(path, existing, KINDS[description.kind])
    differences = existing.fingerprint.differences(description.fingerprint)
    if differences:
        raise FingerprintMismatchError(
            f"{path} was extracted with other settings: {'; '.join(differences)}. "
            "Use its settings, or give another --out."
        )
    return existing
