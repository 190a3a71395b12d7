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
    """The faces of one owner, how many of them are in batches, and the rows received.

    The rows are kept by the number of their first face, because batches may be finished in any
    order.
    """

    owner: Owner
    inputs: Inputs
    count: int
    taken: int = 0
    rows: dict[int, Rows] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return sum(map(len, self.rows.values())) == self.count

    def joined_rows(self) -> Rows:
        return np.concatenate([self.rows[first] for first in sorted(self.rows)])


@dataclass(frozen=True, eq=False)
class Batch(Generic[Owner]):
    """Faces that go through the CNN together.

    Attributes:
        inputs: The inputs of all faces.
        pieces: The owners' requests in order, each with the numbers of its faces in this batch.
    """

    inputs: Inputs
    pieces: tuple[tuple[_Request[Owner], range], ...]

    def __len__(self) -> int:
        return sum(len(numbers) for _, numbers in self.pieces)


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
        pieces: list[tuple[_Request[Owner], range]] = []
        parts: list[Inputs] = []
        room = min(self._size, self.waiting)
        self.waiting -= room
        while room:
            request = self._queue[0]
            start, stop = request.taken, min(request.taken + room, request.count)
            parts.append({name: rows[start:stop] for name, rows in request.inputs.items()})
            pieces.append((request, range(start, stop)))
            request.taken = stop
            room -= stop - start
            if request.taken == request.count:
                self._queue.popleft()
        return Batch(_joined(parts), tuple(pieces))


def _joined(parts: list[Inputs]) -> Inputs:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def finish(batch: Batch[Owner], rows: Rows) -> list[tuple[Owner, Rows]]:
    """Return the owners that had been waiting only for this batch, each with all its rows.

    Args:
        batch: A batch from `Batcher.take`. Batches may be finished in any order, each once.
        rows: float32 (N, W); what was computed from its faces.

    Returns:
        Owners, each with float32 (K, W), one row per face in the order in which they were added.
    """
    done, start = [], 0
    for request, numbers in batch.pieces:
        request.rows[numbers.start] = rows[start : start + len(numbers)]
        start += len(numbers)
        if request.is_done:
            done.append((request.owner, request.joined_rows()))
    return done
