"""Extraction into a store: claim a video, extract it, commit its records."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator

from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.machine import Machine
from deepfake_seq.extract.records import from_videos
from deepfake_seq.extract.records.pending import ExtractedVideo
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.resume import ELSEWHERE, Outcome, PendingVideo, Resumption
from deepfake_seq.extract.video.decode import DecodedVideo
from deepfake_seq.extract.video.decoder_pool import without_content
from deepfake_seq.extract.writers import Cache


class Worker:
    """Extracts videos into a store, on this machine or in an actor on another.

    Args:
        machine: Extracts.
        cache: Takes the records.
        resolved: The settings.
        retry_failed: Whether to take up failures that lie in the video, too.
    """

    def __init__(
        self, machine: Machine, cache: Cache, resolved: ResolvedConfig, *, retry_failed: bool
    ) -> None:
        self._machine = machine
        self._aside: deque[Outcome] = deque()
        self._resumption = Resumption(cache, resolved, retry_failed, self._aside.append)

    def extract(self, todos: Iterable[PendingVideo]) -> Generator[Outcome, None, None]:
        """Claim, extract and commit videos.

        Yields:
            What became of each, once it is on the disk.
        """
        for video in self._machine.extracted(self._claimed(todos)):
            with self._machine.profile.measure("store", 1):
                self._resumption.commit(video)
            first = video.records[0]
            yield Outcome(video.item.video_id, first.status, first.reason, first.transient)
            yield from self._set_aside()
        yield from self._set_aside()

    def _claimed(self, todos: Iterable[PendingVideo]) -> Iterator[VideoItem]:
        claimed = self._resumption.claimed(todos, self._on_elsewhere)
        while True:
            with self._machine.profile.measure("store"):
                todo = next(claimed, None)
            if todo is None:
                return
            yield todo.item

    def _on_elsewhere(self, todo: PendingVideo) -> None:
        self._aside.append(Outcome(todo.item.video_id, ELSEWHERE))

    def _set_aside(self) -> Iterator[Outcome]:
        while self._aside:
            yield self._aside.popleft()


def record_failure(
    todo: PendingVideo, reason: str, cache: Cache, resolved: ResolvedConfig
) -> Outcome:
    """Commit a failure of a video without extracting it; the next run tries it again."""
    item = todo.item
    aside: list[Outcome] = []
    resumption = Resumption(cache, resolved, False, aside.append)
    elsewhere = Outcome(item.video_id, ELSEWHERE)
    for _ in resumption.claimed([todo], lambda _: aside.append(elsewhere)):
        source = without_content(item.path)
        video = DecodedVideo(None, "decode_error", reason, source, transient=True)
        failed = from_videos.failure(resolved, item, video)
        faces = [failed.faces] if failed.faces else []
        resumption.commit(ExtractedVideo(item, [failed.to_record()], faces))
        return Outcome(item.video_id, video.status, reason, True)
    return aside[0]._replace(skipped=False, relabelled=False)
