"""What every engine must do: each video has one outcome, and its record is in the store.

Tests of clusters only are in `test_remote.py` (a worker process) and `test_ray.py` (Ray).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import write_clip
from mean_cnn import CONFIG, MeanCnn

from deepfake_seq.config import ExecutionConfig
from deepfake_seq.datasets import FAKE, VideoItem
from deepfake_seq.extract import pipeline
from deepfake_seq.extract.engines import Engine, Job, build_engine
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.extract.resume import ELSEWHERE, Outcome, PendingVideo, ResumableWriter
from deepfake_seq.extract.writers import StoreWriters
from deepfake_seq.store import FeatureStore


@pytest.fixture
def items(tmp_path: Path) -> list[VideoItem]:
    """Eight clips and a file that is not a video."""
    folder = tmp_path / "videos"
    folder.mkdir()
    first = write_clip(folder / "0.mp4", 6)
    for number in range(1, 8):
        shutil.copy(first, folder / f"{number}.mp4")
    (folder / "8.mp4").write_text("no video")
    return [VideoItem(folder / f"{n}.mp4", f"{n}.mp4", FAKE) for n in range(9)]


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[StoreWriters]:
    with open_writers(tmp_path / "store") as writers:
        yield writers


def open_writers(path: Path) -> StoreWriters:
    return StoreWriters.create(path, resolve(CONFIG))


def pending(items: list[VideoItem]) -> list[PendingVideo]:
    return [PendingVideo(item, 0) for item in items]


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.slow)])
def engine(
    request: pytest.FixtureRequest, writers: StoreWriters, monkeypatch: pytest.MonkeyPatch
) -> Engine:
    """An engine that is not open yet; the local one has a CNN that costs nothing."""
    address = ""
    if request.param == "local":
        monkeypatch.setattr(
            "deepfake_seq.extract.evidence.evidence.build_runtime", lambda *_: MeanCnn()
        )
    else:
        address = request.getfixturevalue("ray_address")
    execution = ExecutionConfig(workers=1, engine=request.param, address=address)
    job = Job(resolve(CONFIG), execution, False, 9)
    return build_engine(job, ResumableWriter(writers, job.resolved))


def ids(outcomes: list[Outcome]) -> list[str]:
    return sorted(outcome.video_id for outcome in outcomes)


def test_every_video_has_one_outcome_and_its_record(
    engine: Engine, items: list[VideoItem], tmp_path: Path
) -> None:
    outcomes = []
    with engine:
        for outcome in engine.run(pending(items)):
            record = FeatureStore.open(tmp_path / "store")[outcome.video_id]
            assert (record.status, record.reason) == (outcome.status, outcome.reason)
            outcomes.append(outcome)
    assert ids(outcomes) == [item.video_id for item in items]
    assert {outcome.video_id for outcome in outcomes if outcome.status != "ok"} == {"8.mp4"}
    assert not any(outcome.skipped for outcome in outcomes)
    assert len(FeatureStore.open(tmp_path / "store")) == 9


def test_an_engine_can_run_several_times(engine: Engine, items: list[VideoItem]) -> None:
    with engine:
        assert list(engine.run([])) == []
        assert ids(list(engine.run(pending(items[:2])))) == ["0.mp4", "1.mp4"]
        assert ids(list(engine.run(pending(items[2:4])))) == ["2.mp4", "3.mp4"]


def test_a_video_claimed_by_another_run_is_elsewhere(
    engine: Engine, items: list[VideoItem], tmp_path: Path
) -> None:
    with open_writers(tmp_path / "store") as other, engine:
        assert other.features.claim("1.mp4")
        statuses = {outcome.video_id: outcome.status for outcome in engine.run(pending(items[:3]))}
        assert statuses == {"0.mp4": "ok", "1.mp4": ELSEWHERE, "2.mp4": "ok"}
        other.features.release("1.mp4")
        (outcome,) = engine.run(pending(items[1:2]))
        assert outcome.status == "ok"


def test_a_video_committed_by_another_run_is_skipped(
    engine: Engine, items: list[VideoItem], tmp_path: Path
) -> None:
    with open_writers(tmp_path / "store") as other:
        pipeline.extract(items[:1], resolve(CONFIG), other, ExecutionConfig(workers=1))
    with engine:
        outcomes = {outcome.video_id: outcome for outcome in engine.run(pending(items[:2]))}
    assert outcomes["0.mp4"].skipped and not outcomes["1.mp4"].skipped


def test_the_profile_counts_every_stage(engine: Engine, items: list[VideoItem]) -> None:
    with engine:
        list(engine.run(pending(items)))
        stages = engine.profile.stages
    assert (stages["decode"].done, stages["cnn"].done, stages["store"].done) == (9, 16, 9)
    assert stages["decode"].lanes == 1
    assert engine.profile.seconds > 0
    assert 0 < engine.profile.pressure("decode") <= 1.0


def test_an_interrupted_engine_releases_its_claims(
    engine: Engine, items: list[VideoItem], writers: StoreWriters, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt), engine:
        for _ in engine.run(pending(items)):
            raise KeyboardInterrupt
    writers.__exit__()
    assert list((tmp_path / "store" / ".locks").glob("video-*")) == []
    assert list((tmp_path / "store").glob(".writer-*")) == []
