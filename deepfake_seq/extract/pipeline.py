"""Videos into a store: what is done is skipped, what is new is extracted and committed."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from deepfake_seq.config import ExecutionConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.engines import Job, build_engine
from deepfake_seq.extract.machine import Machine
from deepfake_seq.extract.profiling import Profile
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.resume import ELSEWHERE, Outcome, Resumption
from deepfake_seq.extract.writers import Cache
from deepfake_seq.store import FAILED_STATUSES, FeatureRecord

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.5


@dataclass
class Summary:
    """What one run did.

    Attributes:
        videos: How many there were.
        skipped: How many were in the store already.
        failed_before: How many of those had failed in an earlier run.
        relabelled: Of how many of those the data set tells something else than before.
        by_status: How many were extracted with each status.
        failures: Those that failed in this run.
        seconds: Wall time.
        profile: Where it went; None where there was nothing to extract.
    """

    videos: int = 0
    skipped: int = 0
    failed_before: int = 0
    relabelled: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    failures: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    profile: Profile | None = None

    def add(self, outcome: Outcome) -> None:
        """Count what became of a video."""
        failed = outcome.status in FAILED_STATUSES
        if outcome.skipped:
            self.skipped += 1
            self.relabelled += outcome.relabelled
            self.failed_before += failed
            return
        self.by_status[outcome.status] += 1
        if failed:
            self.failures.append(outcome)

    @property
    def failed(self) -> int:
        """Videos of this run that gave no features."""
        return sum(self.by_status[status] for status in FAILED_STATUSES)

    @property
    def ok(self) -> int:
        """Videos of this run that gave features."""
        return self.by_status.total() - self.failed


OnVideo = Callable[[Outcome, Profile | None], None]


def extract(
    items: Sequence[VideoItem],
    resolved: ResolvedConfig,
    cache: Cache,
    execution: ExecutionConfig,
    *,
    retry_failed: bool = False,
    on_video: OnVideo = lambda outcome, profile: None,
) -> Summary:
    """Extract into `cache` what is not there yet.

    A video whose record is in the store and whose file has not changed is skipped; see
    `resume.Resumption`. Several runs may extract into one store at once: each video is extracted by
    one of them, and all of them end when everything is there.

    Args:
        items: The videos.
        resolved: The settings, with their weights found.
        cache: Where the records go; its fingerprints are those of `resolved`.
        execution: How to use the machines.
        retry_failed: Extract again what failed before.
        on_video: Called with what became of each video, and where the time goes, once that is
            known.

    Raises:
        DeepseqError: The run cannot go on. What was committed stays.
    """
    begin = time.monotonic()
    summary = Summary(videos=len(items))

    def tell(outcome: Outcome) -> None:
        summary.add(outcome)
        on_video(outcome, summary.profile)

    job = Job(resolved, execution, retry_failed, len(items))
    pending = Resumption(cache, resolved, retry_failed, tell).pending(items)
    if pending:
        with build_engine(job, cache) as engine:
            summary.profile = engine.profile
            while pending:
                elsewhere = set()
                for outcome in engine.run(pending):
                    if outcome.status == ELSEWHERE:
                        elsewhere.add(outcome.video_id)
                    else:
                        tell(outcome)
                pending = [todo for todo in pending if todo.item.video_id in elsewhere]
                if pending:
                    _LOG.info("waiting for %d videos that another run has", len(pending))
                    time.sleep(_POLL_SECONDS)
    if summary.by_status or summary.relabelled:
        cache.seal()
    summary.seconds = time.monotonic() - begin
    return summary


def extract_records(
    items: Sequence[VideoItem], resolved: ResolvedConfig, execution: ExecutionConfig
) -> Iterator[tuple[VideoItem, list[FeatureRecord]]]:
    """Extract videos and give their records as they get ready; no store is needed."""
    if items:
        with Machine.build(resolved, execution, len(items)) as machine:
            yield from machine.records(items)
