"""A directory of shards with one fingerprint, to read from."""

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
from deepfake_seq.store.shards.index import Index, Location, with_remedy
from deepfake_seq.store.shards.kinds import FEATURES, Kind
from deepfake_seq.store.shards.read import Shard

R = TypeVar("R", bound=Record)
T = TypeVar("T")


class Store(ABC, Generic[R]):
    """Records by `video_id`; iterating gives them in the order of their ids.

    Nothing is held in memory but where each record is. Every record is checked against its SHA-256
    when it is read. A store can be read while others write to it: a record that was there stays
    readable, and `refresh` takes in the new ones. No file is kept open, so objects can be used
    after a fork and sent to other processes; they are not meant for several threads at once.

    Attributes:
        path: The directory.
        description: Its fingerprint, and the settings that the records were made with.

    Raises:
        StoreError: It is a store of another kind, or a file in it is not what it should be.
    """

    kind: ClassVar[Kind]
    """What it holds."""

    def __init__(self, path: Path, description: StoreDescription) -> None:
        require_kind(path, description, self.kind)
        self.path = path
        self.description = description
        self._index = Index(path, description.fingerprint.id, self.kind)

    @classmethod
    @abstractmethod
    def open(cls, path: Path | str) -> Store[R]:
        """Open the store at `path`, to read from it.

        Raises:
            StoreError: There is none, or a file in it is not what it should be.
        """

    @property
    def fingerprint(self) -> Fingerprint:
        """What the records depend on."""
        return self.description.fingerprint

    @property
    def extract_config(self) -> dict[str, Any]:
        """The settings that the records were made with, as plain values."""
        return self.description.extract_config

    @property
    def video_ids(self) -> list[str]:
        """All ids, sorted."""
        return sorted(self._index.locations)

    @property
    def reading_order(self) -> list[str]:
        """All ids in the order in which their records lie on the disk: the fastest to read."""
        places = self._index.locations
        return sorted(places, key=lambda video_id: places[video_id][:2])

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
        """The record of a video, checked.

        Raises:
            KeyError: There is none.
            StoreError: It is damaged; the message names the video.
        """
        return self._read(video_id, partial(self._whole, video_id))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).open, (self.path,)

    def close(self) -> None:
        """Nothing to a reader, which keeps no file open; a writer gives back what it holds."""

    def refresh(self) -> None:
        """Take in what other processes have committed since.

        Raises:
            StoreError: A new shard cannot be read.
        """
        self._index.refresh()

    def entry(self, video_id: str) -> Entry | None:
        """What is known of one record without its arrays, or None where there is none."""
        if video_id not in self:
            return None
        return self._read(video_id, partial(self._about, video_id))

    def entries(self) -> Iterator[Entry]:
        """What is known of every record without its arrays, in the order of the ids."""
        for video_id in self.video_ids:
            try:
                yield self._read(video_id, partial(self._about, video_id))
            except KeyError as error:
                raise _gone(video_id, self.path) from error

    def records(self, video_ids: Sequence[str]) -> Iterator[R]:
        """The records of `video_ids` in that order, read in blocks where they lie side by side.

        No more than a block is in memory.

        Raises:
            KeyError: There is no record of one of them.
            StoreError: One is damaged; the message names the video.
        """
        for video_id in video_ids:
            if video_id not in self:
                raise KeyError(video_id)
        done = 0
        while done < len(video_ids):
            try:
                first, length = self._side_by_side(video_ids, done)
            except KeyError as error:
                raise _gone(video_ids[done], self.path) from error
            try:
                shard = self._index.shards[first.shard].shard
                for record in shard.read_range(first.position, first.position + length):
                    video_id = video_ids[done]
                    revision = self._locate(video_id).revision
                    self._expect(video_id, revision, record.video_id, record.revision)
                    yield cast("R", record)
                    done += 1
            except (FileNotFoundError, StoreError):
                # By itself: to find it where it was moved to, or to fail with its name.
                yield self[video_ids[done]]
                done += 1

    def _side_by_side(self, video_ids: Sequence[str], start: int) -> tuple[Location, int]:
        """How many records from `start` on lie side by side in one shard, and where the first."""
        first = self._locate(video_ids[start])
        length = 1
        for video_id in video_ids[start + 1 : start + SHARD_RECORDS]:
            place = self._locate(video_id)
            if (place.shard, place.position) != (first.shard, first.position + length):
                break
            length += 1
        return first, length

    def _read(self, video_id: str, action: Callable[[Shard, int], T]) -> T:
        """What `action` reads of a record, found again where its shard was sealed meanwhile."""
        place = self._locate(video_id)
        while True:
            try:
                return action(self._index.shards[place.shard].shard, place.position)
            except FileNotFoundError as error:
                self.refresh()
                before = place
                if video_id in self:
                    place = self._locate(video_id)
                if place == before:
                    raise _gone(video_id, self.path) from error
            except ShardAccessError:
                raise
            except StoreError as error:
                raise StoreError(f"{video_id}: {with_remedy(error, self.path)}") from error

    def _locate(self, video_id: str) -> Location:
        if video_id in self._index.conflicts:
            one, other = (self.path / place.shard for place in self._index.conflicts[video_id])
            error = StoreError(f"{video_id} stands in {one} and, with other content, in {other}")
            raise StoreError(with_remedy(error, self.path))
        return self._index.locations[video_id]

    def _expect(self, video_id: str, revision: int, found: str, found_revision: int) -> None:
        """Hold what was read to what the index promised."""
        if (found, found_revision) != (video_id, revision):
            raise StoreError(
                f"the index promises revision {revision} of it where revision {found_revision} of "
                f"{found!r} is"
            )

    def _whole(self, video_id: str, shard: Shard, position: int) -> R:
        record = shard.read(position)
        self._expect(video_id, self._locate(video_id).revision, record.video_id, record.revision)
        return cast("R", record)

    def _about(self, video_id: str, shard: Shard, position: int) -> Entry:
        values = shard.metadata(position)
        revision = self._locate(video_id).revision
        self._expect(video_id, revision, values["video_id"], values["revision"])
        return Entry(values)


def require_kind(path: Path, description: StoreDescription, kind: Kind) -> None:
    """Hold the store at `path` to be of a kind.

    Raises:
        StoreError: It is of the other; says what to do.
    """
    if description.kind == kind.name:
        return
    if kind == FEATURES:
        raise StoreError(
            f"{path} is a face cache, and a feature store is needed here. `deepseq extract "
            f"--from-faces {path} --out DIR` makes one from it."
        )
    raise StoreError(f"{path} is a feature store, and a face cache is needed here. {kind.remedy}")


def _gone(video_id: str, path: Path) -> StoreError:
    return StoreError(f"{video_id}: its record was taken out of {path} meanwhile; extract it again")
