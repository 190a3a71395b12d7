"""The clips that a server has received, and what became of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from deepfake_seq.serve.spool import Spool

_LOG = logging.getLogger(__name__)

QUEUED, RUNNING, DONE, FAILED = "queued", "running", "done", "failed"
OPEN_STATES = frozenset({QUEUED, RUNNING})

_MAX_RESULTS = 10_000
"""Number of results that are kept: about 50 MB."""


class QueueFullError(Exception):
    """As many clips as permitted are uploaded or not done."""


@dataclass(frozen=True)
class ClipJob:
    """A clip to classify.

    Attributes:
        id: Random name of the clip, 32 hexadecimal digits.
        name: Name that the client gave to the clip; for display only.
        run: Run to classify it with.
        created: Time when the upload was complete, in seconds since 1970.
        size_bytes: Size of the clip.
        state: `queued`, `running`, `done`, or `failed` if the server could not classify clips.
        stage: Stage that a running clip has reached: `decode`, `detect` or `cnn`.
        deaths: Number of times that the worker died while it classified the clip.
        finished: Time when it was done; None before.
        result: Verdict as plain values; None unless `done`.
        explanation: What the verdict means, in sentences.
        error: Why the clip failed.
    """

    id: str
    name: str
    run: str
    created: float
    size_bytes: int
    state: str = QUEUED
    stage: str = ""
    deaths: int = 0
    finished: float | None = None
    result: dict[str, Any] | None = None
    explanation: tuple[str, ...] = ()
    error: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the clip is not done yet."""
        return self.state in OPEN_STATES


class JobTable:
    """All clips of a server. Several threads may use it at once.

    Clips that are not done when the server ends are found in the spool by the next one.

    Args:
        spool: Folder of the uploads and results.
        limit: Maximum number of clips that are being uploaded or not done.
        max_results: Maximum number of results that are kept.

    Attributes:
        on_change: Called when a clip was added or removed.
    """

    def __init__(self, spool: Spool, limit: int, max_results: int = _MAX_RESULTS) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._spool = spool
        self._limit = limit
        self._max_results = max_results
        self._lock = threading.Lock()
        self._uploads = 0
        self._jobs: dict[str, ClipJob] = {}
        for name, job in sorted(spool.load(ClipJob), key=lambda loaded: loaded[1].created):
            if job.is_open:
                self._jobs[name] = replace(job, id=name, state=QUEUED, stage="")
            else:
                self._jobs[name] = replace(job, id=name)
                spool.remove_clip(name)

    def start_upload(self) -> None:
        """Count an upload.

        Raises:
            QueueFullError: There are as many clips as permitted.
        """
        with self._lock:
            if self._uploads + self._count_open() >= self._limit:
                raise QueueFullError
            self._uploads += 1

    def end_upload(self) -> None:
        """Stop counting an upload."""
        with self._lock:
            self._uploads -= 1

    def add(self, job: ClipJob) -> None:
        """Add a clip whose upload is complete."""
        self._spool.save(job.id, asdict(job))
        with self._lock:
            self._jobs[job.id] = job
        self.on_change()

    def get(self, job_id: str) -> ClipJob | None:
        """Return a clip; None if there is none with this id."""
        return self._jobs.get(job_id)

    def position(self, job: ClipJob) -> int:
        """Return the number of queued clips before a clip."""
        with self._lock:
            queued = [other.id for other in self._jobs.values() if other.state == QUEUED]
        return queued.index(job.id) if job.id in queued else 0

    def queued(self) -> list[ClipJob]:
        """Return the queued clips, in the order in which they are to be classified."""
        with self._lock:
            return [job for job in self._jobs.values() if job.state == QUEUED]

    def update(self, job_id: str, **changes: Any) -> ClipJob | None:
        """Change attributes of a clip that is not done; return it, or None if there is none."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or not job.is_open:
                return None
            job = self._jobs[job_id] = replace(job, **changes)
        return job

    def finish(self, job_id: str, **changes: Any) -> None:
        """Save what became of a clip, and delete its file; does nothing if it was removed."""
        job = self._jobs.get(job_id)
        if job is None or not job.is_open:
            return
        job = replace(job, finished=time.time(), stage="", **changes)
        try:
            self._spool.save(job_id, asdict(job))
        except OSError as error:  # the result is still shown, until the server ends
            _LOG.warning("a result cannot be saved: %s", error.strerror or error)
        with self._lock:
            was_removed = self._jobs.pop(job_id, None) is None
            if not was_removed:
                self._jobs[job_id] = job
        if was_removed:
            self._spool.remove(job_id)
        else:
            self._spool.remove_clip(job_id)

    def remove(self, job_id: str) -> bool:
        """Delete a clip and its result; return whether it existed."""
        with self._lock:
            job = self._jobs.pop(job_id, None)
        if job is None:
            return False
        self._spool.remove(job_id)
        self.on_change()
        return True

    def remove_old(self, seconds: float) -> None:
        """Delete the results that are older than this, and the oldest ones if there are too many.

        Args:
            seconds: Maximum age.
        """
        before = time.time() - seconds
        with self._lock:
            results = [job for job in self._jobs.values() if not job.is_open]
        too_many = len(results) - self._max_results
        for number, job in enumerate(sorted(results, key=lambda job: job.finished or 0.0)):
            if number < too_many or (job.finished or 0.0) < before:
                self.remove(job.id)

    def _count_open(self) -> int:
        return sum(job.is_open for job in self._jobs.values())
