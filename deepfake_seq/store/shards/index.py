"""Which shard holds the record of which video.

A shard is written once and never changed, and its name follows from its content. So a name that was
seen need not be looked at again, whatever other processes do meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from deepfake_seq.errors import StoreError
from deepfake_seq.store.shards.encode import SUFFIX, IndexRow
from deepfake_seq.store.shards.guard import ShardAccessError
from deepfake_seq.store.shards.kinds import Kind
from deepfake_seq.store.shards.read import Shard


class Location(NamedTuple):
    """Where a record is.

    Attributes:
        shard: The file's name.
        position: The row there.
        revision: The record's revision.
    """

    shard: str
    position: int
    revision: int


class Indexed(NamedTuple):
    """A shard and what its index lists."""

    shard: Shard
    rows: list[IndexRow]


class Index:
    """The shards of a directory and the record that stands for each video.

    Of several records of one video the highest revision stands. Equal ones with equal content are
    copies, left by an interrupted run; equal ones with different content contradict each other, and
    none stands.

    Args:
        folder: The directory, which need not exist yet.
        fingerprint_id: Of the store.
        kind: Of its records.

    Attributes:
        shards: Every shard, by name.
        locations: The record that stands, by `video_id`.
        conflicts: Records that contradict each other, by `video_id`.

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
        """What all records have in common, T or T and D; None where there are no records."""
        return next((indexed.shard.shape for indexed in self.shards.values()), None)

    def refresh(self) -> None:
        """Take in what other processes have added and removed.

        Raises:
            StoreError: A new shard cannot be indexed.
        """
        while True:
            names = listing(self._folder)
            try:
                self.forget(self.shards.keys() - names)
                for name in sorted(names - self.shards.keys()):
                    self.add(name)
                return
            except FileNotFoundError:
                continue  # sealed into a larger shard, and removed, since it was listed

    def add(self, name: str) -> None:
        """Take in one shard.

        Raises:
            FileNotFoundError: It is not there.
            StoreError: It cannot be indexed.
        """
        path = self._folder / name
        try:
            shard = Shard(path, self._fingerprint_id, self._kind)
            rows = shard.index()
            if len({row.video_id for row in rows}) < len(rows):
                raise StoreError(f"{path} holds a video twice")
            if self.shape not in (shard.shape, None):
                raise StoreError(f"{path} holds records of {shard.shape}, others of {self.shape}")
        except ShardAccessError:
            raise
        except StoreError as error:
            raise StoreError(with_remedy(error, self._folder)) from error
        self.shards[name] = Indexed(shard, rows)
        self._place(name)

    def forget(self, names: Collection[str]) -> None:
        """Leave shards out, as if they were not there."""
        matter = self.conflicts or any(self.live(name) for name in names)
        for name in names:
            del self.shards[name]
        if matter:
            self.locations.clear()
            self.conflicts.clear()
            for name in self.shards:
                self._place(name)

    def live(self, name: str) -> list[tuple[int, str]]:
        """The positions and videos for which a record in this shard stands."""
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
                    self.locations[row.video_id] = here  # of copies, the one in the larger shard


def with_remedy(error: StoreError, folder: Path) -> str:
    """What to do about damage, behind what is wrong; once."""
    remedy = f"`deepseq verify --repair {folder}` saves what is whole; then extract again."
    return str(error) if remedy in str(error) else f"{error}. {remedy}"


def listing(folder: Path) -> set[str]:
    """The names of the shards in a directory; empty where there is none.

    A listing made while files come and go may miss the small shard that was just removed as well as
    the large one that it was sealed into before. Two that agree have missed nothing.
    """
    before = None
    while (names := _names(folder)) != before:
        before = names
    return names


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
