"""Batching of faces across records, independent of the CNN."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from deepfake_seq.extract.backbones.outputs import Inputs

Rows = npt.NDArray[np.float32]
Owner = TypeVar("Owner")


@dataclass(eq=False)
class _Request(Generic[Owner]):
    """The faces of one owner, how many of them are in batches, and the rows received."""

    owner: Owner
    inputs: Inputs
    count: int
    taken: int = 0
    rows: list[Rows] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        return sum(map(len, self.rows)) == self.count


@dataclass(frozen=True, eq=False)
class Batch(Generic[Owner]):
    """Faces that go through the CNN together.

    Attributes:
        inputs: The inputs of all faces.
        pieces: The owners' requests in order, each with its number of faces in this batch.
    """

    inputs: Inputs
    pieces: tuple[tuple[_Request[Owner], int], ...]

    def __len__(self) -> int:
        return sum(count for _, count in self.pieces)


class Batcher(Generic[Owner]):
    """Fills batches with the faces of owners, in the order in which they are added.

    Args:
        size: Number of faces in a full batch.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._queue: deque[_Request[Owner]] = deque()
        self.waiting = 0
        """Number of faces that are in no batch yet."""

    def add(self, owner: Owner, inputs: Inputs) -> None:
        """Add the faces of an owner.

        Args:
            owner: The owner.
            inputs: The inputs of K faces, K at least 1; the same kinds for all owners.
        """
        count = len(next(iter(inputs.values())))
        self._queue.append(_Request(owner, inputs, count))
        self.waiting += count

    def take(self, *, partial: bool) -> Batch[Owner] | None:
        """Return the next batch; None if there is none.

        Args:
            partial: Whether to return a batch that is not full.
        """
        if not self.waiting or (self.waiting < self._size and not partial):
            return None
        pieces: list[tuple[_Request[Owner], int]] = []
        parts: list[Inputs] = []
        room = min(self._size, self.waiting)
        self.waiting -= room
        while room:
            request = self._queue[0]
            count = min(room, request.count - request.taken)
            stop = request.taken + count
            parts.append(
                {name: rows[request.taken : stop] for name, rows in request.inputs.items()}
            )
            pieces.append((request, count))
            request.taken = stop
            room -= count
            if request.taken == request.count:
                self._queue.popleft()
        return Batch(_joined(parts), tuple(pieces))


def _joined(parts: list[Inputs]) -> Inputs:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def finish(batch: Batch[Owner], rows: Rows) -> list[tuple[Owner, Rows]]:
    """Return the owners whose last faces were in this batch, each with all its rows.

    Args:
        batch: A batch from `Batcher.take`; batches must be finished in the order they were taken.
        rows: float32 (N, W); what was computed from its faces.

    Returns:
        Owners in the order in which they were added, each with float32 (K, W).
    """
    done, start = [], 0
    for request, count in batch.pieces:
        request.rows.append(rows[start : start + count])
        start += count
        if request.is_done:
            done.append((request.owner, np.concatenate(request.rows)))
    return done
