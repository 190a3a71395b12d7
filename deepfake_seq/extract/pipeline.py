"""Videos into a store: what is done is skipped, what is new is extracted and committed."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from deepfake_seq.config import ExecutionConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.extractor import Extractor
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.resume import Resumption
from deepfake_seq.extract.workers import Decoders, default_workers
from deepfake_seq.store import FAILED_STATUSES, Entry, FeatureRecord, StoreWriter

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.5


class Failure(NamedTuple):
    """A video that gave no features; see `FeatureRecord` for the fields."""

    video_id: str
    status: str
    reason: str
    transient: bool


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
    """

    videos: int = 0
    skipped: int = 0
    failed_before: int = 0
    relabelled: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        """Videos of this run that gave no features."""
        return sum(self.by_status[status] for status in FAILED_STATUSES)

    @property
    def ok(self) -> int:
        """Videos of this run that gave features."""
        return self.by_status.total() - self.failed


OnVideo = Callable[[FeatureRecord | None], None]


def extract(
    items: Sequence[VideoItem],
    resolved: ResolvedConfig,
    store: StoreWriter,
    execution: ExecutionConfig,
    *,
    retry_failed: bool = False,
    on_video: OnVideo = lambda record: None,
) -> Summary:
    """Extract into `store` what is not there yet.

    A video whose record is in the store and whose file has not changed is skipped; see
    `resume.Resumption`. Several runs may extract into one store at once: each video is extracted by
    one of them, and all of them end when everything is there.

    Args:
        items: The videos.
        resolved: The settings, with their weights found.
        store: Where the records go; its fingerprint is that of `resolved`.
        execution: How to use the machine.
        retry_failed: Extract again what failed before.
        on_video: Called after each video with its new record, or None where it was skipped.

    Raises:
        DeepseqError: The run cannot go on. What was committed stays.
    """
    begin = time.monotonic()
    summary = Summary(videos=len(items))

    def on_standing(entry: Entry, relabelled: bool) -> None:
        summary.skipped += 1
        summary.relabelled += relabelled
        summary.failed_before += entry.status in FAILED_STATUSES
        on_video(None)

    everyone = resolved.config.faces.people == "all"
    resumption = Resumption(store, everyone, retry_failed, on_standing)
    pending = resumption.pending(items)
    extractor = Extractor.build(resolved, execution.runtime) if pending else None
    while extractor and pending:
        elsewhere: list[VideoItem] = []
        claimed = resumption.claimed(pending, elsewhere.append)
        with _decoders(resolved, execution, len(pending)) as decoders:
            for item, records in _records(claimed, extractor, decoders):
                resumption.commit(item, records)
                first = records[0]
                summary.by_status[first.status] += 1
                if first.failed:
                    summary.failures.append(
                        Failure(item.video_id, first.status, first.reason, first.transient)
                    )
                on_video(first)
        pending = elsewhere
        if pending:
            _LOG.info("waiting for %d videos that another run is extracting", len(pending))
            time.sleep(_POLL_SECONDS)
    if summary.by_status or summary.relabelled:
        store.seal()
    summary.seconds = time.monotonic() - begin
    return summary


def extract_records(
    items: Sequence[VideoItem], resolved: ResolvedConfig, execution: ExecutionConfig
) -> Iterator[tuple[VideoItem, list[FeatureRecord]]]:
    """Extract videos and give their records as they get ready; no store is needed."""
    if not items:
        return
    extractor = Extractor.build(resolved, execution.runtime)
    with _decoders(resolved, execution, len(items)) as decoders:
        yield from _records(items, extractor, decoders)


def _records(
    items: Iterable[VideoItem], extractor: Extractor, decoders: Decoders
) -> Iterator[tuple[VideoItem, list[FeatureRecord]]]:
    for item, video in decoders.decode_all(items):
        yield item, extractor.extract(item, video, partial(decoders.frames_at, item.path))


def _decoders(resolved: ResolvedConfig, execution: ExecutionConfig, videos: int) -> Decoders:
    workers = min(execution.workers or default_workers(), videos)
    return Decoders(workers, resolved.config.sampling, execution.limits)
