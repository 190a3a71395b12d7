"""The worker process of a cluster: checks its machine, then runs the same loop as one machine.

Nothing here depends on Ray.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from deepfake_seq import weights
from deepfake_seq.errors import EngineError, StoreError
from deepfake_seq.extract.engines.base import Job
from deepfake_seq.extract.extractor import Extractor
from deepfake_seq.extract.origin_notes import OriginNotes
from deepfake_seq.extract.profiling import Snapshot
from deepfake_seq.extract.resolve import ResolvedConfig, resolve, resolve_cached
from deepfake_seq.extract.resume import ELSEWHERE, Outcome, PendingVideo, ResumableWriter
from deepfake_seq.extract.video.decoder_pool import default_workers
from deepfake_seq.extract.worker import extract_and_commit
from deepfake_seq.extract.writers import StoreWriters
from deepfake_seq.store import FaceStore
from deepfake_seq.store.locks import dead_writers

_LOGGER = logging.getLogger("deepfake_seq")
_CLOSING_SECONDS = 10.0


@dataclass(frozen=True)
class WorkerConfig:
    """Settings of a remote worker.

    Attributes:
        job: The settings of the run.
        out: The store, at the same path on every machine; one store if they share a disk.
        mark: Marker directory that only the driver's store contains; detects a shared disk.
        cpus: Number of processors of each process.
    """

    job: Job
    out: Path
    mark: Path
    cpus: int


class Progress(NamedTuple):
    """Report on one video.

    Attributes:
        outcome: Outcome of the video.
        profile: Time spent since the last report.
        log: Lines logged since the last report.
    """

    outcome: Outcome
    profile: Snapshot
    log: list[logging.LogRecord]


class RemoteWorker:
    """Extracts chunks of videos; loads the CNN and starts the decoding processes only once.

    Args:
        config: The settings.

    Raises:
        EngineError: Features computed here would differ, or a library cannot be used.
        StoreError: The store cannot be written, or locks do not work on the shared disk.
        DeepseqError: Weights are missing.

    Attributes:
        shares_disk: Whether the store is the driver's.
    """

    def __init__(self, config: WorkerConfig) -> None:
        job = config.job
        self.shares_disk = config.mark.is_dir()
        self._busy = threading.Lock()
        self._is_closing = self._is_abandoned = False
        self._log: SimpleQueue[logging.LogRecord] = SimpleQueue()
        with ExitStack() as stack:
            handler = QueueHandler(self._log)
            _LOGGER.addHandler(handler)
            stack.callback(_LOGGER.removeHandler, handler)
            if self.shares_disk:
                _require_locks(config.mark)
            resolved = _resolved_here(job.resolved)
            workers = job.execution.workers or min(config.cpus, default_workers())
            execution = replace(job.execution, workers=workers)
            self._extractor = Extractor.build(resolved, execution, job.videos)
            stack.enter_context(self._extractor)
            self._writers = stack.enter_context(StoreWriters.create(config.out, resolved))
            self._writer = ResumableWriter(
                self._writers, resolved, job.retry_failed, execution.limits
            )
            self._stack = stack.pop_all()

    def extract(self, pending: Sequence[PendingVideo]) -> Iterator[Progress]:
        """Claim, extract and commit videos; report each once it is on disk."""
        outcomes = extract_and_commit(
            pending, self._extractor, self._writer, lambda: self._is_abandoned
        )
        items = {video.item.video_id: video.item for video in pending}
        with self._busy, closing(outcomes), self._noting() as notes:
            for outcome in outcomes:
                if notes and outcome.status != ELSEWHERE:
                    notes.add(items[outcome.video_id], outcome.sha256)
                yield Progress(outcome, self._extractor.profile.take_snapshot(), self.take_log())
                if self._is_closing:
                    return

    @contextmanager
    def _noting(self) -> Iterator[OriginNotes | None]:
        """Yield the notes of where the videos are; on a shared disk the driver takes them."""
        if self.shares_disk:
            yield None
            return
        notes = OriginNotes(self._writers.features, self._writer.sources)
        try:
            yield notes
        finally:
            notes.write()

    def take_log(self) -> list[logging.LogRecord]:
        """Return the lines that the package has logged since the last call."""
        return [self._log.get() for _ in range(self._log.qsize())]

    def close(self) -> None:
        """Stop after the current video, end the decoding processes and release all claims."""
        self._is_closing = True
        if not self._busy.acquire(timeout=_CLOSING_SECONDS):
            self._is_abandoned = True
            self._extractor.close()  # before the writers, which it may be using
        elif not self.shares_disk:
            self._writers.seal()  # on a shared disk the driver does it
        self._stack.close()


def _require_locks(mark: Path) -> None:
    if mark.name in dead_writers(mark.parent):
        raise StoreError(
            f"locks on {mark.parent} do not work between machines, so two could write the same "
            "video. Mount it with locks, or set --out to a folder on each machine's own disk."
        )


def _resolved_here(elsewhere: ResolvedConfig) -> ResolvedConfig:
    """Find the driver's weights on this machine.

    Raises:
        EngineError: Features computed here would differ.
        DeepseqError: Something is missing.
    """
    config, fields, extract_options = (
        elsewhere.config,
        elsewhere.fingerprint.fields,
        elsewhere.extract_options,
    )
    ranges = elsewhere.description.ranges
    faces, backbone = config.faces, config.backbone
    if backbone.uses_file:
        backbone = replace(backbone, weights=_found_here(backbone.weights, fields["backbone"]))
    if elsewhere.face_cache:
        resolved = resolve_cached(
            FaceStore.open(elsewhere.face_cache), backbone, extract_options, ranges
        )
    else:
        if faces.detector_weights is not None:
            path = _found_here(faces.detector_weights, fields["faces"])
            faces = replace(faces, detector_weights=path)
        resolved = resolve(replace(config, faces=faces, backbone=backbone), extract_options, ranges)
    differences = resolved.fingerprint.differences(elsewhere.fingerprint)
    if differences:
        raise EngineError(f"its features would differ: {'; '.join(differences)}")
    return resolved


def _found_here(path: str, section: dict[str, Any]) -> str:
    """The path on this machine of a weights file known by its path on the driver's machine."""
    if Path(path).is_file():
        return path
    return str(weights.find_given(section["weights_sha256"]) or path)
