"""Which shard holds the record of which video.

A shard is written once and never changed, and its name says what is in it. So a name that was seen
need not be looked at again, whatever other processes do meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from deepfake_seq.errors import StoreError
from deepfake_seq.store.shard import ShardReader

SUFFIX = ".h5"


@dataclass(frozen=True)
class Location:
    """Where a record is.

    Attributes:
        shard: The file's name.
        position: The row there.
        revision: The record's revision.
    """

    shard: str
    position: int
    revision: int


OnProblem = Callable[[Path, StoreError], None]


def stop_at(shard: Path, error: StoreError) -> None:
    """The strict way to meet a shard that cannot be read: not at all."""
    raise StoreError(
        f"{error}. `deepseq verify --repair {shard.parent}` saves what is whole and says what to "
        "extract again."
    ) from error


class Index:
    """The shards of a directory and the record that stands for each video.

    Of several records of one video the highest revision stands. Equal ones with equal content are
    copies, left by an interrupted run; equal ones with different content contradict each other, and
    none stands.

    Args:
        folder: The directory, which need not exist yet.
        fingerprint_id: Of the store.
        on_problem: Called with the path of each shard that cannot be indexed, and why.

    Attributes:
        shards: The `video_id` and revision of each record, by shard name.
        locations: The record that stands, by `video_id`.
        conflicts: Records that contradict each other, by `video_id`.
    """

    def __init__(self, folder: Path, fingerprint_id: str, on_problem: OnProblem = stop_at) -> None:
        self.shards: dict[str, list[tuple[str, int]]] = {}
        self.locations: dict[str, Location] = {}
        self.conflicts: dict[str, tuple[Location, Location]] = {}
        self._folder = folder
        self._fingerprint_id = fingerprint_id
        self._on_problem = on_problem
        self.refresh()

    def refresh(self) -> None:
        """Take in what other processes have added and removed."""
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
            StoreError: It cannot be indexed, and `on_problem` raised it.
        """
        path = self._folder / name
        try:
            with ShardReader(path, self._fingerprint_id) as shard:
                rows = shard.index()
            if len({video_id for video_id, _ in rows}) < len(rows):
                raise StoreError(f"{path} holds a video twice")
        except StoreError as error:
            self._on_problem(path, error)
            rows = []
        self.shards[name] = rows
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

    def live(self, name: str) -> list[int]:
        """The positions in a shard whose records stand for their videos."""
        return [
            position
            for position, (video_id, revision) in enumerate(self.shards[name])
            if self.locations.get(video_id) == Location(name, position, revision)
        ]

    def _place(self, name: str) -> None:
        for position, (video_id, revision) in enumerate(self.shards[name]):
            here = Location(name, position, revision)
            there = self.locations.get(video_id)
            if there is None or revision > there.revision:
                self.locations[video_id] = here
                self.conflicts.pop(video_id, None)
            elif revision == there.revision:
                self._compare(video_id, here, there)

    def _compare(self, video_id: str, here: Location, there: Location) -> None:
        try:
            same = self._digest(here) == self._digest(there)
        except StoreError as error:
            self._on_problem(self._folder / here.shard, error)
            return
        if not same:
            self.conflicts[video_id] = (there, here)
        elif len(self.shards[here.shard]) > len(self.shards[there.shard]):
            self.locations[video_id] = here  # of copies, the one in the larger shard

    def _digest(self, location: Location) -> bytes:
        with ShardReader(self._folder / location.shard, self._fingerprint_id) as shard:
            return shard.digest(location.position)


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
