"""Videos into a store: what is done is skipped, what is new is extracted and committed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from deepfake_seq.config import ExecutionConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import DeepseqError
from deepfake_seq.extract.extractor import Extractor
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.video import identify
from deepfake_seq.extract.workers import decode_all, default_workers
from deepfake_seq.store import FAILED_STATUSES, FeatureRecord, FeatureStore


@dataclass
class Summary:
    """What one run did.

    Attributes:
        videos: How many there were.
        skipped: How many were in the store already.
        failed_before: How many of those had failed in an earlier run.
        relabelled: How many of those were given a new label, group or split.
        by_status: How many were extracted with each status.
        failures: The `video_id`, status and reason of each that failed in this run.
        seconds: Wall time.
    """

    videos: int = 0
    skipped: int = 0
    failed_before: int = 0
    relabelled: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str, str]] = field(default_factory=list)
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
    store: FeatureStore,
    execution: ExecutionConfig,
    *,
    retry_failed: bool = False,
    on_video: OnVideo = lambda record: None,
) -> Summary:
    """Extract into `store` what is not there yet.

    A video whose record is in the store and whose file has not changed is skipped; if only its
    label, groups or split are other than before, the record is committed anew with the same
    features.

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
    pending = []
    for item in items:
        if _is_done(item, store, retry_failed):
            summary.skipped += 1
            summary.relabelled += _relabel(item, store)
            entry = store.entry(item.video_id)
            summary.failed_before += entry is not None and entry.status in FAILED_STATUSES
            on_video(None)
        else:
            pending.append(item)
    try:
        for record in extract_records(pending, resolved, execution):
            store.commit(record)
            summary.by_status[record.status] += 1
            if record.failed:
                summary.failures.append((record.video_id, record.status, record.reason))
            on_video(record)
    except DeepseqError:
        store.discard_if_empty()
        raise
    summary.seconds = time.monotonic() - begin
    return summary


def extract_records(
    items: Sequence[VideoItem], resolved: ResolvedConfig, execution: ExecutionConfig
) -> Iterator[FeatureRecord]:
    """Extract videos and give their records as they get ready; no store is needed."""
    if not items:
        return
    extractor = Extractor.build(resolved, execution.runtime)
    workers = min(execution.workers or default_workers(), len(items))
    for item, video in decode_all(items, resolved.config.sampling, workers):
        yield extractor.extract(item, video)


def _is_done(item: VideoItem, store: FeatureStore, retry_failed: bool) -> bool:
    entry = store.entry(item.video_id)
    if entry is None or (retry_failed and entry.status in FAILED_STATUSES):
        return False
    known = entry.source
    try:
        now = item.path.stat()
        if now.st_size != known.size_bytes:
            return False
        return now.st_mtime_ns == known.mtime_ns or identify(item.path).sha256 == known.sha256
    except OSError:
        return True  # the file went away, or cannot be read now: what is known of it stays


def _relabel(item: VideoItem, store: FeatureStore) -> bool:
    entry = store.entry(item.video_id)
    if entry is None or entry.assigned == (item.label, item.groups, item.split):
        return False
    record = store[item.video_id]
    store.commit(replace(record, label=item.label, groups=item.groups, split=item.split))
    return True
