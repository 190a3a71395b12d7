"""Queue of videos in chunks, one per worker process; retries the chunks of dead processes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from deepfake_seq.extract.resume import PendingVideo

MAX_FAILURES = 2
"""Number of failures after which a chunk is split, or its only video is recorded as failed."""


@dataclass(eq=False)
class Chunk:
    """Videos that one process extracts.

    Attributes:
        videos: The videos without an outcome, by `video_id`, in order.
        failures: Number of processes that died with this chunk.
    """

    videos: dict[str, PendingVideo]
    failures: int = 0

    @classmethod
    def of(cls, videos: Sequence[PendingVideo], failures: int = 0) -> Self:
        """Return a chunk of `videos`."""
        return cls({video.item.video_id: video for video in videos}, failures)

    def cut(self, size: int) -> tuple[Chunk, Chunk]:
        """Split off the first `size` videos; return both chunks."""
        videos = list(self.videos.values())
        return Chunk.of(videos[:size], self.failures), Chunk.of(videos[size:], self.failures)


class ChunkQueue:
    """Queue of videos to be extracted; chunks that failed are appended to its end.

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
        """Number of videos in the queue."""
        return sum(len(chunk.videos) for chunk in self._chunks)

    @property
    def chunks_waiting(self) -> int:
        """Number of chunks if the queue is split into chunks of the maximum size."""
        return math.ceil(self.waiting / self._largest)

    def add(self, videos: Sequence[PendingVideo]) -> None:
        """Append videos."""
        if videos:
            self._chunks.append(Chunk.of(videos))

    def take(self, processes: int) -> Chunk:
        """Remove and return the next chunk; the queue must not be empty.

        Chunks get smaller as the queue gets shorter, so that all processes finish at about the same
        time; a single process gets as many videos as the largest size allows.

        Args:
            processes: Number of processes that share the queue.
        """
        share = math.ceil(self.waiting / (2 * processes - 1))
        size = min(max(share, self._smallest), self._largest)
        chunk, rest = self._chunks.popleft().cut(size)
        if rest.videos:
            self._chunks.appendleft(rest)
        return chunk

    def is_retried(self, video_id: str) -> bool:
        """Return whether a process died before it reported this video."""
        return video_id in self._retried

    def fail(self, chunk: Chunk) -> PendingVideo | None:
        """Queue a chunk again whose process died; return its video if it must not be retried.

        At its second failure a chunk is split into halves; a chunk of one video is not retried.
        """
        self._retried.update(chunk.videos)
        chunk.failures += 1
        if chunk.videos and chunk.failures < MAX_FAILURES:
            self._chunks.append(chunk)
        elif len(chunk.videos) > 1:
            chunk.failures = 0
            self._chunks.extend(chunk.cut(len(chunk.videos) // 2))
        elif chunk.videos:
            return next(iter(chunk.videos.values()))
        return None
