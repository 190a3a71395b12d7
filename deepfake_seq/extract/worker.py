"""The extraction loop: claim a video, extract it, commit its records."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator

from deepfake_seq.config.execution import exceeds_a_limit
from deepfake_seq.extract.extractor import Extractor
from deepfake_seq.extract.records.from_videos import failure_record
from deepfake_seq.extract.records.pending import ExtractedVideo
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.resume import Outcome, PendingVideo, ResumableWriter
from deepfake_seq.extract.video.decode import DecodedVideo
from deepfake_seq.extract.video.decoder_pool import without_content


def extract_and_commit(
    pending: Iterable[PendingVideo],
    extractor: Extractor,
    writer: ResumableWriter,
    is_abandoned: Callable[[], bool] = lambda: False,
) -> Generator[Outcome, None, None]:
    """Claim, extract and commit videos, on this machine or in a process of a cluster.

    Several videos are in progress at a time. Each is claimed before it is extracted, and committed
    as soon as its records are complete.

    Args:
        pending: The videos.
        extractor: Makes the records.
        writer: Claims videos and commits their records.
        is_abandoned: Whether another thread is ending the extractor. What it returns then is not
            committed: its decoding processes may have been killed.

    Yields:
        The outcome of each video, once it is on disk.
    """
    with extractor.running():
        for video in pending:
            with extractor.profile.measure("store"):
                outcome = writer.claim(video)
            if outcome is not None:
                yield outcome
                continue
            extractor.submit(video.item)
            while not extractor.has_room:
                yield from _commit_finished(extractor, writer, is_abandoned)
        while extractor.is_busy:
            yield from _commit_finished(extractor, writer, is_abandoned)


def _commit_finished(
    extractor: Extractor, writer: ResumableWriter, is_abandoned: Callable[[], bool]
) -> Iterator[Outcome]:
    for video in extractor.finished():
        if is_abandoned():
            continue
        with extractor.profile.measure("store", 1):
            writer.commit(video)
        first = video.records[0]
        again = first.transient and not exceeds_a_limit(first.facts)
        yield Outcome(
            video.item.video_id,
            first.status,
            first.reason,
            transient=again,
            sha256=first.source.sha256,
        )


def record_failure(
    video: PendingVideo, reason: str, writer: ResumableWriter, resolved: ResolvedConfig
) -> Outcome:
    """Commit a failure of a video without extracting it; the next run tries it again.

    Args:
        video: The video.
        reason: Why it failed.
        writer: Claims the video and commits the record.
        resolved: The settings.
    """
    outcome = writer.claim(video)
    if outcome is not None:  # another run is extracting it, or its process committed it and died
        return outcome._replace(skipped=False, relabelled=False)
    item = video.item
    decoded = DecodedVideo(None, "decode_error", reason, without_content(item.path), transient=True)
    pending = failure_record(resolved, item, decoded)
    faces = [pending.faces] if pending.faces is not None else []
    writer.commit(ExtractedVideo(item, [pending.record], faces))
    return Outcome(item.video_id, decoded.status, reason, transient=True)
