"""Filling the CNN's batches with the crops of several people: bookkeeping, no CNN."""

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
class _Order(Generic[Owner]):
    """The crops of one owner: how many are in a batch, and the features that are there."""

    owner: Owner
    crops_rgb: Crops
    taken: int = 0
    parts: list[Features] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        return sum(map(len, self.parts)) == len(self.crops_rgb)


@dataclass(frozen=True, eq=False)
class Batch(Generic[Owner]):
    """Crops that go through the CNN together.

    Attributes:
        crops_rgb: uint8 (N, S, S, 3).
        pieces: Whose they are and how many in a row, in their order.
    """

    crops_rgb: Crops
    pieces: tuple[tuple[_Order[Owner], int], ...]


class Batcher(Generic[Owner]):
    """Cuts the crops of owners into batches, first come first served.

    Args:
        size: How many crops a full batch has.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._queue: deque[_Order[Owner]] = deque()
        self.waiting = 0
        """How many crops are in no batch yet."""

    def add(self, owner: Owner, crops_rgb: Crops) -> None:
        """Put in the crops of an owner: uint8 (K, S, S, 3), K at least 1."""
        self._queue.append(_Order(owner, crops_rgb))
        self.waiting += len(crops_rgb)

    def take(self, *, partial: bool) -> Batch[Owner] | None:
        """The next batch; None where there is none.

        Args:
            partial: Whether a batch that is not full will do.
        """
        if not self.waiting or (self.waiting < self._size and not partial):
            return None
        pieces: list[tuple[_Order[Owner], int]] = []
        arrays: list[Crops] = []
        room = min(self._size, self.waiting)
        self.waiting -= room
        while room:
            order = self._queue[0]
            part = order.crops_rgb[order.taken : order.taken + room]
            order.taken += len(part)
            room -= len(part)
            pieces.append((order, len(part)))
            arrays.append(part)
            if order.taken == len(order.crops_rgb):
                self._queue.popleft()
        return Batch(arrays[0] if len(arrays) == 1 else np.concatenate(arrays), tuple(pieces))


def returned(batch: Batch[Owner], features: Features) -> list[tuple[Owner, Features]]:
    """The owners whose crops are all done with this batch, each with its features.

    Args:
        batch: What `Batcher.take` gave. An owner's batches come back in the order they were taken.
        features: float32 (N, D) of its crops.

    Returns:
        Owners in the order in which they were put in, each with float32 (K, D).
    """
    done, start = [], 0
    for order, count in batch.pieces:
        order.parts.append(features[start : start + count])
        start += count
        if order.is_done:
            done.append((order.owner, np.concatenate(order.parts)))
    return done
