"""Decoding in other processes, a bounded number of videos ahead of whoever uses them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self

from deepfake_seq.config import LimitsConfig, SamplingConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import VideoError
from deepfake_seq.extract import video
from deepfake_seq.extract.isolation import IsolatedProcess
from deepfake_seq.extract.video import DecodedVideo, SampledFrames
from deepfake_seq.store import SourceFile

_MOST_WORKERS = 4


def default_workers() -> int:
    """One for each core, at most four: the CNN in the parent needs the rest."""
    return min(os.cpu_count() or 1, _MOST_WORKERS)


class Decoders:
    """Processes that decode; a context manager.

    A file that makes its process die, hang or run out of memory costs that file and nothing else.

    Args:
        workers: How many processes.
        sampling: Which frames to decode.
        limits: What one video may cost.
    """

    def __init__(self, workers: int, sampling: SamplingConfig, limits: LimitsConfig) -> None:
        self._workers = workers
        self._sampling = sampling
        self._limits = limits
        self._processes = [IsolatedProcess(limits) for _ in range(workers)]
        self._free: SimpleQueue[IsolatedProcess] = SimpleQueue()
        for process in self._processes:
            self._free.put(process)
        self._threads = ThreadPoolExecutor(workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._processes:
            process.close()
        self._threads.shutdown()

    def decode_all(self, items: Iterable[VideoItem]) -> Iterator[tuple[VideoItem, DecodedVideo]]:
        """Decode videos and give them back as they get ready.

        `items` is asked for the next one only when there is room for it: no more than one video
        beyond the number of processes is decoded or waiting at a time, so memory does not grow with
        their number.

        Raises:
            EngineError: No process can be started.
        """
        queue = iter(items)
        running: dict[Future[DecodedVideo], VideoItem] = {}
        while True:
            while len(running) <= self._workers and (item := next(queue, None)) is not None:
                running[self._threads.submit(self.decode, item.path)] = item
            if not running:
                return
            ready, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ready:
                yield running.pop(future), future.result()

    def frames_at(self, path: Path, positions: Sequence[int]) -> SampledFrames | None:
        """The frames at `positions` in order of presentation; None where they cannot be had."""
        try:
            frames: SampledFrames | None = self._call(
                video.frames_at, path, positions, self._limits
            )
        except VideoError:
            return None
        return frames

    def decode(self, path: Path) -> DecodedVideo:
        """Decode one video; whatever goes wrong is in the status."""
        try:
            decoded: DecodedVideo = self._call(video.decode, path, self._sampling, self._limits)
        except VideoError as error:
            reason, source = str(error), _without_content(path)
            return DecodedVideo(None, error.status, reason, source, transient=error.transient)
        return decoded

    def _call(self, *call: Any) -> Any:
        process = self._free.get()
        try:
            return process.call(*call)
        finally:
            self._free.put(process)


def _without_content(path: Path) -> SourceFile:
    """What can be said of a file without reading it."""
    try:
        status = path.stat()
    except OSError:
        return SourceFile(0, 0, "")
    return SourceFile(status.st_size, status.st_mtime_ns, "")
