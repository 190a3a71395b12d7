"""Read a store: a directory of shards with one fingerprint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from deepfake_seq.config import SHARD_RECORDS
from deepfake_seq.errors import StoreError
from deepfake_seq.store.records.entry import Entry
from deepfake_seq.store.records.fingerprint import Fingerprint
from deepfake_seq.store.records.record import Record
from deepfake_seq.store.shards.description import StoreDescription
from deepfake_seq.store.shards.guard import ShardAccessError
from deepfake_seq.store.shards.index import Index, Location, with_repair_hint
from deepfake_seq.store.shards.kinds import FEATURES, Kind
from deepfake_seq.store.shards.read import Shard

R = TypeVar("R", bound=Record)
T = TypeVar("T")


class Store(ABC, Generic[R]):
    """Records by `video_id`; iterating yields them in the order of their ids.

    Only the location of each record is kept in memory. Every record is checked against its SHA-256
    when it is read. A store can be read while other processes write to it: existing records stay
    readable, and `refresh` adds the new ones. No file is kept open, so a store can be used after a
    fork and sent to other processes. It is not safe to use from several threads at once.

    Attributes:
        path: Path of the directory.
        description: Fingerprint of the store, and the settings that made its records.

    Raises:
        StoreError: The store is of another kind, or a file in it is damaged.
    """

    kind: ClassVar[Kind]
    """Kind of records in the store."""

    def __init__(self, path: Path, description: StoreDescription) -> None:
        require_kind(path, description, self.kind)
        self.path = path
        self.description = description
        self._index = Index(path, description.fingerprint.id, self.kind)

    @classmethod
    @abstractmethod
    def open(cls, path: Path | str) -> Store[R]:
        """Open the store at `path` for reading.

        Raises:
            StoreError: There is none, or a file in it is damaged.
        """

    @property
    def fingerprint(self) -> Fingerprint:
        """Fingerprint of the records."""
        return self.description.fingerprint

    @property
    def extract_config(self) -> dict[str, Any]:
        """Settings that made the records, as plain values."""
        return self.description.extract_config

    @property
    def video_ids(self) -> list[str]:
        """Ids of all records, sorted."""
        return sorted(self._index.locations)

    @property
    def reading_order(self) -> list[str]:
        """Ids of all records in their order on the disk, the fastest order to read them in."""
        locations = self._index.locations
        return sorted(locations, key=lambda video_id: locations[video_id][:2])

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.path}: {len(self)} records in "
            f"{len(self._index.shards)} shards, fingerprint {self.fingerprint.id}>"
        )

    def __len__(self) -> int:
        return len(self._index.locations)

    def __contains__(self, video_id: object) -> bool:
        return video_id in self._index.locations

    def __iter__(self) -> Iterator[R]:
        return self.records(self.video_ids)

    def __getitem__(self, video_id: str) -> R:
        """Read the record of a video and check it.

        Raises:
            KeyError: There is none.
            StoreError: The record is damaged; the message names the video.
        """
        return self._read(video_id, partial(self._read_record, video_id))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).open, (self.path,)

    def close(self) -> None:
        """Release the claims of a writer; a reader keeps no file open and does nothing."""

    def refresh(self) -> None:
        """Add the records that other processes have committed since the last refresh.

        Raises:
            StoreError: A new shard cannot be read.
        """
        self._index.refresh()

    def entry(self, video_id: str) -> Entry | None:
        """Return a record without its arrays, or None if there is none."""
        if video_id not in self:
            return None
        return self._read(video_id, partial(self._read_entry, video_id))

    def entries(self) -> Iterator[Entry]:
        """Yield every record without its arrays, in the order of the ids."""
        for video_id in self.video_ids:
            try:
                yield self._read(video_id, partial(self._read_entry, video_id))
            except KeyError as error:
                raise _gone(video_id, self.path) from error

    def records(self, video_ids: Sequence[str]) -> Iterator[R]:
        """Yield the records of `video_ids` in that order; adjacent records are read in blocks.

        Only one block is in memory.

        Raises:
            KeyError: There is no record with one of the ids.
            StoreError: A record is damaged; the message names the video.
        """
        for video_id in video_ids:
            if video_id not in self:
                raise KeyError(video_id)
        done = 0
        while done < len(video_ids):
            try:
                first, length = self._adjacent(video_ids, done)
            except KeyError as error:
                raise _gone(video_ids[done], self.path) from error
            try:
                shard = self._index.shards[first.shard].shard
                for record in shard.read_range(first.position, first.position + length):
                    video_id = video_ids[done]
                    revision = self._locate(video_id).revision
                    self._check_identity(video_id, revision, record.video_id, record.revision)
                    yield cast("R", record)
                    done += 1
            except (FileNotFoundError, StoreError):
                # Read it alone: either it has moved to another shard, or the error names it.
                yield self[video_ids[done]]
                done += 1

    def _adjacent(self, video_ids: Sequence[str], start: int) -> tuple[Location, int]:
        """Return where record `start` is, and how many records from it on are adjacent."""
        first = self._locate(video_ids[start])
        length = 1
        for video_id in video_ids[start + 1 : start + SHARD_RECORDS]:
            location = self._locate(video_id)
            if (location.shard, location.position) != (first.shard, first.position + length):
                break
            length += 1
        return first, length

    def _read(self, video_id: str, action: Callable[[Shard, int], T]) -> T:
        """Call `action` on a record's shard and position; retry if the shard was just sealed."""
        location = self._locate(video_id)
        while True:
            try:
                return action(self._index.shards[location.shard].shard, location.position)
            except FileNotFoundError as error:
                self.refresh()
                previous = location
                if video_id in self:
                    location = self._locate(video_id)
                if location == previous:
                    raise _gone(video_id, self.path) from error
            except ShardAccessError:
                raise
            except StoreError as error:
                raise StoreError(f"{video_id}: {with_repair_hint(error, self.path)}") from error

    def _locate(self, video_id: str) -> Location:
        if video_id in self._index.conflicts:
            conflict = self._index.conflicts[video_id]
            one, other = (self.path / location.shard for location in conflict)
            error = StoreError(f"{video_id} has different records in {one} and in {other}")
            raise StoreError(with_repair_hint(error, self.path))
        return self._index.locations[video_id]

    def _check_identity(
        self, video_id: str, revision: int, actual_id: str, actual_revision: int
    ) -> None:
        """Raise unless a record is the one that the index lists at its position."""
        if (actual_id, actual_revision) != (video_id, revision):
            raise StoreError(
                f"the index lists revision {revision} of this video, but the record there is "
                f"revision {actual_revision} of {actual_id!r}"
            )

    def _read_record(self, video_id: str, shard: Shard, position: int) -> R:
        record = shard.read(position)
        revision = self._locate(video_id).revision
        self._check_identity(video_id, revision, record.video_id, record.revision)
        return cast("R", record)

    def _read_entry(self, video_id: str, shard: Shard, position: int) -> Entry:
        values = shard.metadata(position)
        revision = self._locate(video_id).revision
        self._check_identity(video_id, revision, values["video_id"], values["revision"])
        return Entry(values)


def require_kind(path: Path, description: StoreDescription, kind: Kind) -> None:
    """Raise unless the store at `path` is of a kind.

    Raises:
        StoreError: It is of the other kind; the message says what to do.
    """
    if description.kind == kind.name:
        return
    if kind == FEATURES:
        raise StoreError(
            f"{path} is a face cache, not a feature store. Make a feature store from it with "
            f"`deepseq extract --from-faces {path} --out DIR`."
        )
    raise StoreError(f"{path} is a feature store, not a face cache. {kind.remedy}")


def _gone(video_id: str, path: Path) -> StoreError:
    return StoreError(
        f"{video_id}: its record was removed from {path} while it was read. Extract it again."
    )
