"""Extraction of many videos into a store; videos whose records are up to date are skipped."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from deepfake_seq.config import ExecutionConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.engines import Engine, Job, build_engine
from deepfake_seq.extract.matching import Match, Matcher, printable
from deepfake_seq.extract.origin_notes import OriginNotes
from deepfake_seq.extract.profiling import Profile
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.resume import ELSEWHERE, Outcome, PendingVideo, ResumableWriter
from deepfake_seq.extract.writers import StoreWriters
from deepfake_seq.store import FAILED_STATUSES

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.5
_MAX_LISTED = 5


@dataclass
class Summary:
    """Counts and times of one run.

    Attributes:
        videos: Number of videos.
        skipped: Number of videos already in the store.
        failed_before: Number of skipped videos that failed in an earlier run.
        relabelled: Number of skipped videos whose labels were updated.
        moved: New id of each video that was moved or renamed, by its old id.
        pruned: Ids of the videos that were removed, because their files are gone.
        unknown: Number of videos that were not pruned, because it is not known where they were.
        by_status: Number of extracted videos per status.
        failures: Outcomes of the videos that failed in this run.
        seconds: Wall time.
        profile: Time spent in each stage; None if no video had to be extracted.
    """

    videos: int = 0
    skipped: int = 0
    failed_before: int = 0
    relabelled: int = 0
    moved: dict[str, str] = field(default_factory=dict)
    pruned: tuple[str, ...] = ()
    unknown: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    failures: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    profile: Profile | None = None

    def add(self, outcome: Outcome) -> None:
        """Count the outcome of a video."""
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
        """Number of videos extracted without features in this run."""
        return sum(self.by_status[status] for status in FAILED_STATUSES)

    @property
    def ok(self) -> int:
        """Number of videos extracted with features in this run."""
        return self.by_status.total() - self.failed


OnVideo = Callable[[Outcome, Profile | None], None]


def extract(
    items: Sequence[VideoItem],
    resolved: ResolvedConfig,
    writers: StoreWriters,
    execution: ExecutionConfig,
    *,
    retry_failed: bool = False,
    prune: bool = False,
    on_video: OnVideo = lambda outcome, profile: None,
) -> Summary:
    """Extract the videos that are not in the store yet, or have changed.

    The records of videos that were moved or renamed are moved, without extracting them again. No
    video replaces another one of the same name from another folder.

    Several runs may extract into one store at the same time: each video is extracted by one of
    them, and each run ends when all its videos are in the store.

    Args:
        items: The videos.
        resolved: The settings.
        writers: The stores; their fingerprints are those of `resolved`.
        execution: How to use the machines.
        retry_failed: Whether to extract videos again that failed because of their content.
        prune: Whether to remove the records of videos whose files are gone.
        on_video: Called with the outcome of each video, and the time spent so far.

    Raises:
        StoreError: A name belongs to another video in the store, or it is not clear whether the
            files of videos were deleted. Nothing was changed.
        DeepseqError: The run cannot continue. Committed records are kept.
    """
    begin = time.monotonic()
    writer = ResumableWriter(writers, resolved, retry_failed, execution.limits)
    matched = match(items, writer, find_gone=prune)
    _apply(matched, writers)
    summary = Summary(
        len(matched.items), moved=matched.moves, pruned=matched.gone, unknown=matched.unknown
    )
    by_id = {item.video_id: item for item in matched.items}
    notes = OriginNotes(writers.features, writer.sources)

    def report(outcome: Outcome) -> None:
        summary.add(outcome)
        notes.add(by_id[outcome.video_id], outcome.sha256)
        on_video(outcome, summary.profile)

    try:
        pending = []
        for item in matched.items:
            result = writer.check(item)
            if isinstance(result, PendingVideo):
                pending.append(result)
            else:
                report(result)
        if pending:
            job = Job(resolved, execution, retry_failed, len(pending))
            with build_engine(job, writer) as engine:
                summary.profile = engine.profile
                _run(engine, pending, report)
    finally:
        notes.write()
    if summary.by_status or summary.relabelled or summary.moved or summary.pruned:
        writers.seal()
    summary.seconds = time.monotonic() - begin
    return summary


def match(items: Sequence[VideoItem], writer: ResumableWriter, *, find_gone: bool = False) -> Match:
    """Match videos with the records of a store; see `Matcher.match`."""
    matcher = Matcher(writer.writers.features, writer.sources, writer.all_people)
    return matcher.match(items, find_gone=find_gone)


def _apply(matched: Match, writers: StoreWriters) -> None:
    """Remove the records of videos that are gone, and move those of moved ones."""
    if matched.gone:
        writers.remove(matched.gone)
        for video_id in matched.gone:
            _LOG.info("removed %s: its file is gone", printable(video_id))
    if matched.moves:
        writers.move(matched.moves)
        for old, new in list(matched.moves.items())[:_MAX_LISTED]:
            _LOG.info("moved %s to %s", printable(old), printable(new))
        if len(matched.moves) > _MAX_LISTED:
            _LOG.info("moved %d more videos", len(matched.moves) - _MAX_LISTED)


def _run(
    engine: Engine, pending: Sequence[PendingVideo], report: Callable[[Outcome], None]
) -> None:
    """Extract videos; wait for those that other runs are extracting."""
    while pending:
        elsewhere = set()
        for outcome in engine.run(pending):  # see `worker.extract_and_commit`
            if outcome.status == ELSEWHERE:
                elsewhere.add(outcome.video_id)
            else:
                report(outcome)
        pending = [video for video in pending if video.item.video_id in elsewhere]
        if pending:
            _LOG.info("waiting for another run to extract %d videos", len(pending))
            time.sleep(_POLL_SECONDS)
