"""Which videos a worker process gets next, and what happens to those whose process dies."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from deepfake_seq.extract.resume import PendingVideo

MAX_FAILURES = 2
"""Failures after which a chunk is split, or its only video is recorded as a failure."""


@dataclass(eq=False)
class Chunk:
    """Videos that one process extracts.

    Attributes:
        todos: The videos without an outcome, by `video_id`, in order.
        failures: How many processes died with this chunk.
    """

    todos: dict[str, PendingVideo]
    failures: int = 0

    @classmethod
    def of(cls, todos: Sequence[PendingVideo], failures: int = 0) -> Self:
        """A chunk of `todos`."""
        return cls({todo.item.video_id: todo for todo in todos}, failures)

    def cut(self, size: int) -> tuple[Chunk, Chunk]:
        """The first `size` videos, and the others."""
        todos = list(self.todos.values())
        return Chunk.of(todos[:size], self.failures), Chunk.of(todos[size:], self.failures)


class ChunkQueue:
    """Videos waiting to be extracted. A chunk that failed waits behind those that did not.

    Args:
        smallest: Number of videos in the last chunks; fewer would leave a process partly idle.
        largest: Maximum number of videos in a chunk.
    """

    def __init__(self, smallest: int, largest: int) -> None:
        self._smallest = smallest
        self._largest = largest
        self._chunks: deque[Chunk] = deque()
        self._retried: set[str] = set()

    @property
    def waiting(self) -> int:
        """Number of videos that no process has."""
        return sum(len(chunk.todos) for chunk in self._chunks)

    @property
    def chunks_waiting(self) -> int:
        """Number of chunks of the largest size that the waiting videos make."""
        return math.ceil(self.waiting / self._largest)

    def add(self, todos: Sequence[PendingVideo]) -> None:
        """Append videos."""
        if todos:
            self._chunks.append(Chunk.of(todos))

    def take(self, processes: int) -> Chunk:
        """Remove and return the next chunk; there must be one.

        Chunks get smaller as the queue gets shorter, so that all processes end at about the same
        time; a single process gets everything up to the largest size.

        Args:
            processes: How many processes share what is waiting.
        """
        share = math.ceil(self.waiting / (2 * processes - 1))
        size = min(max(share, self._smallest), self._largest)
        chunk, rest = self._chunks.popleft().cut(size)
        if rest.todos:
            self._chunks.appendleft(rest)
        return chunk

    def is_retried(self, video_id: str) -> bool:
        """Whether a process died before it reported this video."""
        return video_id in self._retried

    def fail(self, chunk: Chunk) -> PendingVideo | None:
        """Put back a chunk whose process died, or return its video if it is to be given up.

        At its second failure a chunk is split in halves; a chunk of one video is given up.
        """
        self._retried.update(chunk.todos)
        chunk.failures += 1
        if chunk.todos and chunk.failures < MAX_FAILURES:
            self._chunks.append(chunk)
        elif len(chunk.todos) > 1:
            chunk.failures = 0
            self._chunks.extend(chunk.cut(len(chunk.todos) // 2))
        elif chunk.todos:
            return next(iter(chunk.todos.values()))
        return None
