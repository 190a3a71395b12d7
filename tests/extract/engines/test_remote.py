"""A worker process of a cluster: what it checks before it extracts, and what it reports."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from clips import write_clip
from mean_cnn import CONFIG, MeanCnn

from deepfake_seq import weights
from deepfake_seq.config import ExecutionConfig, FaceConfig
from deepfake_seq.datasets import FAKE, VideoItem
from deepfake_seq.errors import DeepseqError, EngineError, StoreError
from deepfake_seq.extract.engines import Job
from deepfake_seq.extract.engines.remote import Progress, RemoteWorker, WorkerConfig
from deepfake_seq.extract.profiling import SummedProfile
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.extract.resume import PendingVideo
from deepfake_seq.extract.writers import StoreWriters
from deepfake_seq.store import FeatureStore
from deepfake_seq.store.origins import Origins

CNN_LOG = logging.getLogger("deepfake_seq.extract.cnn")


@pytest.fixture(autouse=True)
def cnn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CNN that costs nothing, and logs that it is loaded."""

    def build(*_: object) -> MeanCnn:
        CNN_LOG.warning("loaded")
        return MeanCnn()

    monkeypatch.setattr("deepfake_seq.extract.evidence.evidence.build_runtime", build)


@pytest.fixture
def config(tmp_path: Path) -> Iterator[WorkerConfig]:
    """Settings for a machine that shares the driver's disk."""
    resolved = resolve(CONFIG)
    with StoreWriters.create(tmp_path / "store", resolved) as writers:
        job = Job(resolved, ExecutionConfig(workers=1), False, 9)
        yield WorkerConfig(job, tmp_path / "store", writers.features.initialise(), 1)


@pytest.fixture
def videos(tmp_path: Path) -> list[PendingVideo]:
    """The same clip three times."""
    clip = write_clip(tmp_path / "clip.mp4", 6)
    return [PendingVideo(VideoItem(clip, f"{n}.mp4", FAKE), 0) for n in range(3)]


def all_of(worker: RemoteWorker, videos: list[PendingVideo]) -> list[Progress]:
    reports = list(worker.extract(videos))
    worker.close()
    return reports


def test_each_report_has_the_time_since_the_last_one(
    config: WorkerConfig, videos: list[PendingVideo]
) -> None:
    worker = RemoteWorker(config)
    reports = [*worker.extract(videos[:2]), *all_of(worker, videos[2:])]
    profile = SummedProfile()
    profile.start(0)
    for report in reports:
        profile.add_snapshot(report.profile)
    assert [report.outcome.video_id for report in reports] == ["0.mp4", "1.mp4", "2.mp4"]
    assert (profile.stages["decode"].done, profile.stages["cnn"].done) == (3, 6)
    assert 0 < profile.pressure("decode") <= 1.0


def test_each_log_line_is_reported_once(config: WorkerConfig, videos: list[PendingVideo]) -> None:
    worker = RemoteWorker(config)
    assert [record.getMessage() for record in worker.take_log()] == ["loaded"]
    CNN_LOG.warning("%s is slow", "it")
    reports = all_of(worker, videos)
    CNN_LOG.warning("it is closed")
    assert [line.getMessage() for report in reports for line in report.log] == ["it is slow"]
    assert worker.take_log() == []


def test_a_machine_with_a_shared_disk_writes_to_the_drivers_store(
    config: WorkerConfig, videos: list[PendingVideo]
) -> None:
    worker = RemoteWorker(config)
    assert worker.shares_disk
    all_of(worker, videos)
    assert len(FeatureStore.open(config.out)) == 3
    assert len(list(config.out.glob("*.h5"))) == 3  # the driver seals them


def test_a_machine_with_its_own_disk_seals_its_own_store(
    config: WorkerConfig, videos: list[PendingVideo], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    worker = RemoteWorker(replace(config, out=elsewhere, mark=Path("/of/another/machine")))
    assert not worker.shares_disk
    all_of(worker, videos)
    assert len(FeatureStore.open(elsewhere)) == 3
    assert len(list(elsewhere.glob("*.h5"))) == 1
    assert list(elsewhere.glob(".writer-*")) == []
    assert Origins.read(elsewhere).roots == [str(tmp_path)]  # merged later; the driver has its own


def test_a_machine_whose_features_would_differ_is_refused(config: WorkerConfig) -> None:
    resolved = config.job.resolved
    fields = {**resolved.fingerprint.fields, "versions": {"av": "1"}}
    resolved = replace(resolved, fingerprint=replace(resolved.fingerprint, fields=fields))
    with pytest.raises(EngineError, match=r"its features would differ: versions\.av is "):
        RemoteWorker(replace(config, job=replace(config.job, resolved=resolved)))
    assert len(list(config.out.glob(".writer-*"))) == 1  # the driver's


def test_a_shared_disk_without_working_locks_is_refused(config: WorkerConfig) -> None:
    (config.mark / "lock").unlink()  # as on a machine that does not see the lock
    with pytest.raises(StoreError, match=r"locks on .* do not work between machines"):
        RemoteWorker(config)


def test_weights_at_another_path_are_found_by_their_content(
    config: WorkerConfig, tmp_path: Path, empty_home: Path
) -> None:
    there, here = tmp_path / "there.onnx", tmp_path / "here.onnx"
    there.write_bytes(b"\x08weights")
    faces = FaceConfig(detector="yunet", detector_weights=str(there))
    resolved = resolve(replace(CONFIG, faces=faces))
    config = replace(config, job=replace(config.job, resolved=resolved))
    there.rename(here)
    with pytest.raises(DeepseqError, match=r"no such weights file.*there\.onnx"):
        RemoteWorker(config)
    weights.remember_given(here, resolved.fingerprint.fields["faces"]["weights_sha256"])
    with pytest.raises(DeepseqError, match=r"here\.onnx"):  # found, but not a network
        RemoteWorker(config)


def test_closing_ends_a_chunk_after_the_current_video(
    config: WorkerConfig, videos: list[PendingVideo]
) -> None:
    worker = RemoteWorker(config)
    reports = worker.extract(videos)
    next(reports)
    closing = threading.Thread(target=worker.close)
    closing.start()
    assert len(list(reports)) <= 1
    closing.join()
    assert list((config.out / ".locks").glob("video-*")) == []
