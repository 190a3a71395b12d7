"""Committing what was extracted, and the failures of videos that cannot be extracted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import write_clip
from mean_cnn import CONFIG, MeanCnn

from deepfake_seq.config import ExecutionConfig
from deepfake_seq.datasets import FAKE, VideoItem
from deepfake_seq.extract import pipeline
from deepfake_seq.extract.extractor import Extractor
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.extract.resume import ELSEWHERE, Outcome, PendingVideo, ResumableWriter
from deepfake_seq.extract.worker import extract_and_commit, record_failure
from deepfake_seq.extract.writers import StoreWriters


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[StoreWriters]:
    with StoreWriters.create(tmp_path / "store", resolve(CONFIG)) as writers:
        yield writers


@pytest.fixture
def video(tmp_path: Path) -> PendingVideo:
    return PendingVideo(VideoItem(write_clip(tmp_path / "0.mp4", 6), "0.mp4", FAKE), 0)


def record(video: PendingVideo, writers: StoreWriters) -> Outcome:
    resolved = resolve(CONFIG)
    return record_failure(video, "its process died", ResumableWriter(writers, resolved), resolved)


@pytest.mark.parametrize("is_abandoned", [False, True])
def test_nothing_is_committed_after_another_thread_ended_the_extractor(
    writers: StoreWriters, video: PendingVideo, monkeypatch: pytest.MonkeyPatch, is_abandoned: bool
) -> None:
    monkeypatch.setattr(
        "deepfake_seq.extract.evidence.evidence.build_runtime", lambda *_: MeanCnn()
    )
    resolved = resolve(CONFIG)
    writer = ResumableWriter(writers, resolved)
    with Extractor.build(resolved, ExecutionConfig(workers=1)) as extractor:
        outcomes = extract_and_commit([video], extractor, writer, lambda: is_abandoned)
        assert len(list(outcomes)) == len(writers.features) == (0 if is_abandoned else 1)


def test_a_failure_is_recorded_and_the_next_run_tries_it_again(
    writers: StoreWriters, video: PendingVideo
) -> None:
    outcome = record(video, writers)
    stored = writers.features["0.mp4"]
    assert (outcome.status, outcome.reason) == ("decode_error", "its process died")
    assert (stored.status, stored.reason, stored.label) == (*outcome[1:3], FAKE)
    assert outcome.transient and stored.transient
    writer = ResumableWriter(writers, resolve(CONFIG))
    assert writer.check(video.item) == video._replace(revision=1)


def test_a_video_claimed_by_another_run_is_left_to_it(
    writers: StoreWriters, video: PendingVideo
) -> None:
    with StoreWriters.create(writers.features.path, resolve(CONFIG)) as other:
        assert other.claim("0.mp4")
        outcome = record(video, writers)
    assert outcome.status == ELSEWHERE
    assert len(writers.features) == 0


def test_a_record_committed_by_another_run_is_kept(
    writers: StoreWriters, video: PendingVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "deepfake_seq.extract.evidence.evidence.build_runtime", lambda *_: MeanCnn()
    )
    with StoreWriters.create(writers.features.path, resolve(CONFIG)) as other:
        pipeline.extract([video.item], resolve(CONFIG), other, ExecutionConfig(workers=1))
    outcome = record(video, writers)
    assert outcome.status == "ok" and not outcome.skipped
    assert writers.features["0.mp4"].status == "ok"
