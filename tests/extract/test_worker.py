"""What is recorded of a video that cannot be extracted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import write_clip
from mean_cnn import CONFIG, MeanCnn

from deepfake_seq.config import ExecutionConfig
from deepfake_seq.datasets import FAKE, VideoItem
from deepfake_seq.extract import machine, pipeline
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.extract.resume import ELSEWHERE, PendingVideo, Resumption
from deepfake_seq.extract.worker import record_failure
from deepfake_seq.extract.writers import Cache


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache.create(tmp_path / "store", resolve(CONFIG)) as cache:
        yield cache


@pytest.fixture
def todo(tmp_path: Path) -> PendingVideo:
    return PendingVideo(VideoItem(write_clip(tmp_path / "0.mp4", 6), "0.mp4", FAKE), 0)


def test_a_failure_is_recorded_and_the_next_run_tries_it_again(
    cache: Cache, todo: PendingVideo
) -> None:
    outcome = record_failure(todo, "its process died", cache, resolve(CONFIG))
    record = cache.features["0.mp4"]
    assert (outcome.status, outcome.reason) == ("decode_error", "its process died")
    assert (record.status, record.reason, record.label) == (*outcome[1:3], FAKE)
    assert outcome.transient and record.transient
    resumption = Resumption(cache, resolve(CONFIG), False, print)
    assert resumption.pending([todo.item]) == [todo._replace(revision=1)]


def test_a_video_that_another_run_has_is_left_to_it(cache: Cache, todo: PendingVideo) -> None:
    with Cache.create(cache.features.path, resolve(CONFIG)) as other:
        assert other.claim("0.mp4")
        outcome = record_failure(todo, "its process died", cache, resolve(CONFIG))
    assert outcome.status == ELSEWHERE
    assert len(cache.features) == 0


def test_a_record_that_was_committed_meanwhile_is_kept(
    cache: Cache, todo: PendingVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "build_runtime", lambda *_: MeanCnn())
    with Cache.create(cache.features.path, resolve(CONFIG)) as other:
        pipeline.extract([todo.item], resolve(CONFIG), other, ExecutionConfig(workers=1))
    outcome = record_failure(todo, "its process died", cache, resolve(CONFIG))
    assert outcome.status == "ok" and not outcome.skipped
    assert cache.features["0.mp4"].status == "ok"
