"""Extraction on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deepfake_seq.extract.engines.base import Engine, Job
from deepfake_seq.extract.extractor import Extractor
from deepfake_seq.extract.resume import Outcome, PendingVideo, ResumableWriter
from deepfake_seq.extract.worker import extract_and_commit


class LocalEngine(Engine):
    """See `Engine`."""

    def __init__(self, job: Job, writer: ResumableWriter) -> None:
        self._extractor = Extractor.build(job.resolved, job.execution, job.videos)
        self._writer = writer
        self.profile = self._extractor.profile

    def __exit__(self, *_: object) -> None:
        self._extractor.close()

    def run(self, pending: Sequence[PendingVideo]) -> Iterator[Outcome]:
        """See `Engine.run`."""
        return extract_and_commit(pending, self._extractor, self._writer)
