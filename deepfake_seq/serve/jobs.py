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

_MAX_REPORT_BYTES = 1 << 30
"""Size of all reports beyond which the oldest ones are deleted."""


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
        stage: Stage that a running clip has reached: `decode`, `detect`, `cnn` or `explain`.
        deaths: Number of times that the worker died while it classified the clip.
        finished: Time when it was done; None before.
        result: Verdict as plain values; None before the stage `explain`, and if the clip failed.
        headline: The verdict and its strength in a few words.
        explanation: What the verdict means, in sentences.
        report_bytes: Size of the report; 0 if there is none.
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
    headline: str = ""
    explanation: tuple[str, ...] = ()
    report_bytes: int = 0
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
        max_report_bytes: Maximum size of all reports together.

    Attributes:
        on_change: Called when a clip was added or removed.
    """

    def __init__(
        self,
        spool: Spool,
        limit: int,
        max_results: int = _MAX_RESULTS,
        max_report_bytes: int = _MAX_REPORT_BYTES,
    ) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._spool = spool
        self._limit = limit
        self._max_results = max_results
        self._max_report_bytes = max_report_bytes
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

    def finish(
        self, job_id: str, report: tuple[bytes, bytes] | None = None, **changes: Any
    ) -> None:
        """Save what became of a clip, and delete its file; does nothing if it was removed.

        Args:
            job_id: Id of the clip.
            report: Its report as an HTML file and as a JSON document, if there is one.
            **changes: Attributes of the clip.
        """
        job = self._jobs.get(job_id)
        if job is None or not job.is_open:
            return
        size = self._save_report(job_id, report) if report else 0
        job = replace(job, finished=time.time(), stage="", report_bytes=size, **changes)
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

        The oldest reports are deleted if all of them are too large; their results are kept.

        Args:
            seconds: Maximum age.
        """
        before = time.time() - seconds
        with self._lock:
            results = [job for job in self._jobs.values() if not job.is_open]
        size = 0
        newest_first = sorted(results, key=lambda job: job.finished or 0.0, reverse=True)
        for number, job in enumerate(newest_first):
            size += job.report_bytes
            if number >= self._max_results or (job.finished or 0.0) < before:
                self.remove(job.id)
            elif job.report_bytes and size > self._max_report_bytes:
                self._remove_report(job)

    def _save_report(self, job_id: str, report: tuple[bytes, bytes]) -> int:
        """Save a report; return its size, or 0 if that failed."""
        try:
            self._spool.save_report(job_id, *report)
        except OSError as error:
            _LOG.warning("a report cannot be saved: %s", error.strerror or error)
            self._spool.remove_report(job_id)
            return 0
        return sum(map(len, report))

    def _remove_report(self, job: ClipJob) -> None:
        with self._lock:
            if job.id in self._jobs:
                self._jobs[job.id] = replace(job, report_bytes=0)
        self._spool.remove_report(job.id)

    def _count_open(self) -> int:
        return sum(job.is_open for job in self._jobs.values())
