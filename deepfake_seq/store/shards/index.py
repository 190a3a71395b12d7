"""The index of a store: the shard and row of each video's record.

A shard is written once and never changed, and its name is derived from its content. A shard that is
indexed therefore need not be read again, even if other processes write to the store.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from deepfake_seq.errors import StoreError
from deepfake_seq.store.shards.encode import SUFFIX, IndexRow
from deepfake_seq.store.shards.guard import ShardAccessError
from deepfake_seq.store.shards.kinds import Kind
from deepfake_seq.store.shards.read import Shard


class Location(NamedTuple):
    """Location of a record.

    Attributes:
        shard: File name of the shard.
        position: Row of the record in the shard.
        revision: Revision of the record.
    """

    shard: str
    position: int
    revision: int


class Indexed(NamedTuple):
    """A shard and the rows of its index."""

    shard: Shard
    rows: list[IndexRow]


class Index:
    """The shards of a directory and the current record of each video.

    The current record of a video is the one with the highest revision. Several records with that
    revision and the same content are copies left by an interrupted run. If their content differs,
    they are in conflict, and reading the video fails.

    Args:
        folder: Directory of the store; it need not exist.
        fingerprint_id: Id of the store's fingerprint.
        kind: Kind of the records.

    Attributes:
        shards: Indexed shards by file name.
        locations: Location of the current record by `video_id`.
        conflicts: Locations of two conflicting records by `video_id`.

    Raises:
        StoreError: A shard cannot be indexed.
    """

    def __init__(self, folder: Path, fingerprint_id: str, kind: Kind) -> None:
        self.shards: dict[str, Indexed] = {}
        self.locations: dict[str, Location] = {}
        self.conflicts: dict[str, tuple[Location, Location]] = {}
        self._folder = folder
        self._fingerprint_id = fingerprint_id
        self._kind = kind
        self.refresh()

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Dimensions that all records share, (T,) or (T, D); None if there are no records."""
        return next((indexed.shard.shape for indexed in self.shards.values()), None)

    def refresh(self) -> None:
        """Add and remove the shards that other processes have added and removed.

        Raises:
            StoreError: A new shard cannot be indexed.
        """
        while True:
            names = list_shards(self._folder)
            try:
                self.remove(self.shards.keys() - names)
                for name in sorted(names - self.shards.keys()):
                    self.add(name)
                return
            except FileNotFoundError:
                continue  # sealed into a larger shard, or replaced, after it was listed

    def add(self, name: str) -> None:
        """Index a shard.

        Raises:
            FileNotFoundError: There is no such shard.
            StoreError: The shard cannot be indexed.
        """
        path = self._folder / name
        try:
            shard = Shard(path, self._fingerprint_id, self._kind)
            rows = shard.index()
            if len({row.video_id for row in rows}) < len(rows):
                raise StoreError(f"{path} contains several records of the same video")
            if self.shape not in (shard.shape, None):
                raise StoreError(
                    f"{path} contains records of shape {shard.shape}, other shards of {self.shape}"
                )
        except ShardAccessError:
            raise
        except StoreError as error:
            raise StoreError(with_repair_hint(error, self._folder)) from error
        self.shards[name] = Indexed(shard, rows)
        self._place(name)

    def remove(self, names: Collection[str]) -> None:
        """Remove shards from the index; their files stay."""
        changes_locations = self.conflicts or any(self.current(name) for name in names)
        for name in names:
            del self.shards[name]
        if changes_locations:
            self.locations.clear()
            self.conflicts.clear()
            for name in self.shards:
                self._place(name)

    def current(self, name: str) -> list[tuple[int, str]]:
        """Return position and `video_id` of each current record in a shard."""
        return [
            (position, row.video_id)
            for position, row in enumerate(self.shards[name].rows)
            if self.locations.get(row.video_id) == (name, position, row.revision)
        ]

    def _place(self, name: str) -> None:
        rows = self.shards[name].rows
        for position, row in enumerate(rows):
            here = Location(name, position, row.revision)
            there = self.locations.get(row.video_id)
            if there is None or row.revision > there.revision:
                self.locations[row.video_id] = here
                self.conflicts.pop(row.video_id, None)
            elif row.revision == there.revision:
                others = self.shards[there.shard].rows
                if row.sha256 != others[there.position].sha256:
                    self.conflicts[row.video_id] = (there, here)
                elif len(rows) > len(others):
                    self.locations[row.video_id] = here  # prefer the copy in the larger shard


def with_repair_hint(error: StoreError, folder: Path) -> str:
    """Return the message of an error, with advice on repairing the store unless it contains it."""
    hint = f"Run `deepseq verify --repair {folder}` to keep the intact records; then extract again."
    message = str(error)
    return message if hint in message else f"{message.removesuffix('.')}. {hint}"


def list_shards(folder: Path) -> set[str]:
    """Return the file names of the shards in a directory; empty if it does not exist.

    A listing made while another process seals may miss both a small shard that was just removed and
    the larger shard that it was sealed into. The directory is therefore listed until two listings
    in a row agree.
    """
    previous = None
    while (names := _names(folder)) != previous:
        previous = names
    return names


def shard_bytes(folder: Path) -> int:
    """Return the size of the shards in a directory, in bytes; 0 if it does not exist."""
    size = 0
    for name in list_shards(folder):
        with suppress(FileNotFoundError):  # sealed into another shard by another process
            size += (folder / name).stat().st_size
    return size


def _names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {
                entry.name
                for entry in entries
                if entry.name.endswith(SUFFIX) and not entry.name.startswith(".")
            }
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error.strerror}") from error
