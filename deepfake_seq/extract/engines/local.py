"""Extraction on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deepfake_seq.extract.engines.base import Engine, Job
from deepfake_seq.extract.machine import Machine
from deepfake_seq.extract.resume import Outcome, PendingVideo
from deepfake_seq.extract.worker import Worker
from deepfake_seq.extract.writers import Cache


class LocalEngine(Engine):
    """See `Engine`."""

    def __init__(self, job: Job, cache: Cache) -> None:
        self._machine = Machine.build(job.resolved, job.execution, job.videos)
        self.profile = self._machine.profile
        self._worker = Worker(self._machine, cache, job.resolved, retry_failed=job.retry_failed)

    def __exit__(self, *_: object) -> None:
        self._machine.close()

    def run(self, todos: Sequence[PendingVideo]) -> Iterator[Outcome]:
        """See `Engine.run`."""
        return self._worker.extract(todos)
