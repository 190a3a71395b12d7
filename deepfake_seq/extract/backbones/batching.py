"""Batching of crops across records, independent of the CNN."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

Crops = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]
Owner = TypeVar("Owner")


@dataclass(eq=False)
class _Request(Generic[Owner]):
    """The crops of one owner, how many of them are in batches, and the features received."""

    owner: Owner
    crops_rgb: Crops
    taken: int = 0
    features: list[Features] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        return sum(map(len, self.features)) == len(self.crops_rgb)


@dataclass(frozen=True, eq=False)
class Batch(Generic[Owner]):
    """Crops that go through the CNN together.

    Attributes:
        crops_rgb: uint8 (N, S, S, 3).
        pieces: The owners' requests in order, each with its number of crops in this batch.
    """

    crops_rgb: Crops
    pieces: tuple[tuple[_Request[Owner], int], ...]


class Batcher(Generic[Owner]):
    """Fills batches with the crops of owners, in the order in which they are added.

    Args:
        size: Number of crops in a full batch.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._queue: deque[_Request[Owner]] = deque()
        self.waiting = 0
        """Number of crops that are in no batch yet."""

    def add(self, owner: Owner, crops_rgb: Crops) -> None:
        """Add the crops of an owner: uint8 (K, S, S, 3), K at least 1."""
        self._queue.append(_Request(owner, crops_rgb))
        self.waiting += len(crops_rgb)

    def take(self, *, partial: bool) -> Batch[Owner] | None:
        """Return the next batch; None if there is none.

        Args:
            partial: Whether to return a batch that is not full.
        """
        if not self.waiting or (self.waiting < self._size and not partial):
            return None
        pieces: list[tuple[_Request[Owner], int]] = []
        arrays: list[Crops] = []
        room = min(self._size, self.waiting)
        self.waiting -= room
        while room:
            request = self._queue[0]
            crops = request.crops_rgb[request.taken : request.taken + room]
            request.taken += len(crops)
            room -= len(crops)
            pieces.append((request, len(crops)))
            arrays.append(crops)
            if request.taken == len(request.crops_rgb):
                self._queue.popleft()
        return Batch(arrays[0] if len(arrays) == 1 else np.concatenate(arrays), tuple(pieces))


def finish(batch: Batch[Owner], features: Features) -> list[tuple[Owner, Features]]:
    """Return the owners whose last crops were in this batch, each with all its features.

    Args:
        batch: A batch from `Batcher.take`; batches must be finished in the order they were taken.
        features: float32 (N, D) of its crops.

    Returns:
        Owners in the order in which they were added, each with float32 (K, D).
    """
    done, start = [], 0
    for request, count in batch.pieces:
        request.features.append(features[start : start + count])
        start += count
        if request.is_done:
            done.append((request.owner, np.concatenate(request.features)))
    return done
