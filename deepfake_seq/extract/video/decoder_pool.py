"""A pool of decoding processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self

from deepfake_seq.config import LimitsConfig, SamplingConfig
from deepfake_seq.cores import cores
from deepfake_seq.errors import VideoError
from deepfake_seq.extract.video import decode, file_facts
from deepfake_seq.extract.video.decode import DecodedVideo, SampledFrames, Span
from deepfake_seq.extract.video.file_facts import FileFacts
from deepfake_seq.extract.video.isolated_process import IsolatedProcess
from deepfake_seq.store import SourceFile

_MAX_WORKERS = 32
_MAX_THREADS = 8


def default_workers() -> int:
    """Return one per core, at most 32, because each process holds the frames of a video."""
    return min(cores(), _MAX_WORKERS)


class Decoders:
    """A pool of decoding processes; a context manager. Several threads may use it at once.

    A file that makes its process die, hang or run out of memory only fails itself.

    Args:
        workers: Number of processes.
        sampling: Which frames to decode.
        limits: Limits on the size, time and memory of one video.
    """

    def __init__(self, workers: int, sampling: SamplingConfig, limits: LimitsConfig) -> None:
        self.workers = workers
        self._sampling = sampling
        # With one process per core, threads inside them would only cost memory.
        threads = min(max(cores() // workers, 1), _MAX_THREADS)
        self._limits = replace(limits, threads=min(limits.threads or threads, threads))
        self._processes = [IsolatedProcess(limits) for _ in range(workers)]
        self._free: SimpleQueue[IsolatedProcess] = SimpleQueue()
        for process in self._processes:
            self._free.put(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes; calls in progress fail."""
        for process in self._processes:
            process.close()

    def start(self) -> None:
        """Start the processes without waiting for them; otherwise, each starts with its first call.

        Raises:
            EngineError: A process cannot be started.
        """
        for process in self._processes:
            process.start()

    def frames_at(self, path: Path, positions: Sequence[int]) -> SampledFrames | None:
        """Decode the frames at `positions` in order of presentation; None if that fails."""
        try:
            frames: SampledFrames | None = self.call(
                decode.frames_at, path, positions, self._limits
            )
        except VideoError:
            return None
        return frames

    def decode(self, path: Path, span: Span | None = None) -> DecodedVideo:
        """Decode one video; a failure is reported as a status and a reason.

        Args:
            path: Path of the file.
            span: Sample only the frames whose presentation times are in it; None for the whole
                video.

        Raises:
            EngineError: A process cannot be started.
        """
        try:
            decoded: DecodedVideo = self.call(
                decode.decode, path, self._sampling, self._limits, span
            )
        except VideoError as error:
            return DecodedVideo.failed(error, without_content(path))
        return decoded

    def duration(self, path: Path) -> float:
        """Return the duration of a video in seconds, without decoding it; 0 if that fails."""
        try:
            return float(self.call(decode.duration, path, self._limits))
        except VideoError:
            return 0.0

    def file_facts(self, path: Path) -> FileFacts:
        """Read the headers of a video file; a failure becomes a reason."""
        try:
            facts: FileFacts = self.call(file_facts.read_file_facts, path, self._limits)
        except VideoError as error:
            return FileFacts(failure=str(error))
        return facts

    def call(self, *call: Any) -> Any:
        """Call a function in one of the processes; see `IsolatedProcess.call`."""
        process = self._free.get()
        try:
            return process.call(*call)
        finally:
            self._free.put(process)


def without_content(path: Path) -> SourceFile:
    """Return the size and time of a file without reading it; the SHA-256 is ""."""
    try:
        status = path.stat()
    except OSError:
        return SourceFile(0, 0, "")
    return SourceFile(status.st_size, status.st_mtime_ns, "")
