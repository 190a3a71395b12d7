"""Extraction into a store: which videos are skipped or extracted again, and the summary."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import numbered, write_clip, write_images
from decoding import DecodersHere
from disk import failing_at
from mean_cnn import MeanCnn, features_of

from deepfake_seq.config import (
    BackboneConfig,
    ExecutionConfig,
    ExtractConfig,
    FaceConfig,
    LimitsConfig,
    SamplingConfig,
)
from deepfake_seq.config.execution import MEMORY_FACT, SECONDS_FACT
from deepfake_seq.datasets import FAKE, REAL, VideoItem
from deepfake_seq.errors import VideoError
from deepfake_seq.extract import pipeline
from deepfake_seq.extract.extractor import Extractor
from deepfake_seq.extract.faces import build_detector
from deepfake_seq.extract.pipeline import Summary
from deepfake_seq.extract.profiling import Profile
from deepfake_seq.extract.records.from_videos import VideoCropSource
from deepfake_seq.extract.resolve import ResolvedConfig, resolve
from deepfake_seq.extract.resume import NO_LIMITS_SET, Outcome
from deepfake_seq.extract.video.decode import DecodedVideo, Span
from deepfake_seq.extract.video.decoder_pool import Decoders
from deepfake_seq.extract.writers import StoreWriters
from deepfake_seq.store import FeatureStore
from deepfake_seq.store.origins import Origins
from deepfake_seq.store.upkeep.repair import repair
from deepfake_seq.store.upkeep.verify import verify

CONFIG = ExtractConfig(
    sampling=SamplingConfig(frames=4),
    faces=FaceConfig(detector="none"),
    backbone=BackboneConfig("vgg16", "untrained"),
)


class BatchingCnn(MeanCnn):
    """Its batches contain crops of several videos."""

    batch = 6


def build_with(decoders: type[Decoders]) -> Callable[..., Extractor]:
    """Replace `Extractor.build`: the real extractor with a CNN that costs nothing."""

    def build(resolved: ResolvedConfig, execution: ExecutionConfig, videos: int) -> Extractor:
        workers = max(execution.workers, 1)
        pool = decoders(workers, resolved.config.sampling, execution.limits)
        evidence = features_of(BatchingCnn())
        source = VideoCropSource(resolved, build_detector("none", None), evidence, pool)
        return Extractor(source, evidence)

    return build


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode in this process, with a CNN that costs nothing."""
    monkeypatch.setattr(Extractor, "build", build_with(DecodersHere))


@pytest.fixture
def videos(tmp_path: Path) -> list[VideoItem]:
    """Two clips and a file that is not a video."""
    folder = tmp_path / "videos"
    folder.mkdir()
    write_images(folder / "a.mp4", [numbered(1)] * 8)  # without cuts
    write_images(folder / "b.mp4", [numbered(2)] * 12)
    (folder / "c.mp4").write_text("no video")
    return [
        VideoItem(folder / f"{name}.mp4", f"{name}.mp4", label)
        for name, label in (("a", REAL), ("b", FAKE), ("c", FAKE))
    ]


Run = Callable[..., Summary]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Extract into the store, which is opened again for each run."""

    def run(
        items: list[VideoItem],
        *,
        retry_failed: bool = False,
        limits: LimitsConfig = NO_LIMITS_SET,
        on_video: pipeline.OnVideo = lambda outcome, profile: None,
    ) -> Summary:
        resolved = resolve(CONFIG)
        with StoreWriters.create(tmp_path / "store", resolved) as writers:
            return pipeline.extract(
                items,
                resolved,
                writers,
                ExecutionConfig(workers=1, limits=limits),
                retry_failed=retry_failed,
                on_video=on_video,
            )

    return run


def stored(tmp_path: Path) -> FeatureStore:
    return FeatureStore.open(tmp_path / "store")


def counts(summary: Summary) -> tuple[int, int, int, int]:
    """Return the numbers of all, skipped, successful and failed videos."""
    return summary.videos, summary.skipped, summary.ok, summary.failed


def test_every_video_becomes_a_record(videos: list[VideoItem], run: Run, tmp_path: Path) -> None:
    summary = run(videos)
    assert counts(summary) == (3, 0, 2, 1)
    assert summary.by_status == {"ok": 2, "decode_error": 1}
    assert summary.seconds > 0
    store = stored(tmp_path)
    assert [record.video_id for record in store] == ["a.mp4", "b.mp4", "c.mp4"]
    assert [record.label for record in store] == [REAL, FAKE, FAKE]
    assert [record.frames_valid for record in store] == [4, 4, 0]


def test_failures_are_reported_with_their_reasons(videos: list[VideoItem], run: Run) -> None:
    (failure,) = run(videos).failures
    assert (failure.video_id, failure.status) == ("c.mp4", "decode_error")
    assert failure.reason and not failure.transient


def test_a_second_run_skips_every_video_even_failures(
    videos: list[VideoItem], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(videos)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").iterdir()}
    monkeypatch.setattr(Extractor, "build", None)
    summary = run(videos)
    assert counts(summary) == (3, 3, 0, 0)
    assert summary.relabelled == 0
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "store").iterdir()}


def test_a_new_video_is_extracted_and_the_others_are_skipped(
    videos: list[VideoItem], run: Run
) -> None:
    assert counts(run(videos[:1])) == (1, 0, 1, 0)
    assert counts(run(videos)) == (3, 1, 1, 1)


def test_a_changed_file_is_extracted_again(
    videos: list[VideoItem], run: Run, tmp_path: Path
) -> None:
    run(videos)
    before = stored(tmp_path)["a.mp4"]
    write_clip(videos[0].path, 30)
    assert counts(run(videos)) == (3, 2, 1, 0)
    after = stored(tmp_path)["a.mp4"]
    assert after.source.sha256 != before.source.sha256
    assert after.facts["frames_total"] == 30
    assert len(stored(tmp_path)) == 3


def test_a_file_of_the_same_size_with_other_content_is_extracted_again(
    videos: list[VideoItem], run: Run, tmp_path: Path
) -> None:
    run(videos)
    path = videos[0].path
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))
    summary = run(videos)
    assert summary.skipped == 2
    assert summary.by_status.total() == 1


def test_a_touched_file_is_not_extracted_again(videos: list[VideoItem], run: Run) -> None:
    run(videos)
    for item in videos:
        os.utime(item.path, ns=(0, item.path.stat().st_mtime_ns + 10**9))
    assert counts(run(videos)) == (3, 3, 0, 0)


def test_a_touched_file_is_hashed_once_and_its_new_time_is_stored(
    videos: list[VideoItem], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(videos)
    os.utime(videos[0].path, ns=(0, 123))
    before = stored(tmp_path)["a.mp4"]
    run(videos)
    after = stored(tmp_path)["a.mp4"]
    assert (after.source.mtime_ns, after.revision) == (123, 2)
    assert after.same_content(before)
    monkeypatch.setattr("deepfake_seq.extract.sources.identify", None)
    assert counts(run(videos)) == (3, 3, 0, 0)


def failing(monkeypatch: pytest.MonkeyPatch, name: str, error: Exception) -> list[str]:
    """Make the decoding of one video fail; return a list that collects all decoded names."""
    decoded: list[str] = []

    class Failing(DecodersHere):
        def decode(self, path: Path, span: Span | None = None) -> DecodedVideo:
            decoded.append(path.name)
            with monkeypatch.context() as patch:
                if path.name == name:
                    patch.setattr("deepfake_seq.extract.video.container.av.open", raising(error))
                return super().decode(path, span)

    monkeypatch.setattr(Extractor, "build", build_with(Failing))
    return decoded


def raising(error: Exception) -> Callable[..., None]:
    def call(*arguments: object, **options: object) -> None:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out of memory"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"),
        (VideoError("timeout", "60 s are over"), "60 s are over"),
    ],
    ids=["memory", "disk", "time"],
)
def test_a_transient_failure_is_retried_by_the_next_run(
    videos: list[VideoItem],
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    reason: str,
) -> None:
    with monkeypatch.context() as patch:
        failing(patch, "b.mp4", error)
        summary = run(videos)
    failure = next(failure for failure in summary.failures if failure.video_id == "b.mp4")
    assert failure.transient and failure.reason == reason
    assert stored(tmp_path)["b.mp4"].transient
    decoded = failing(monkeypatch, "", error)
    assert counts(run(videos)) == (3, 2, 1, 0)
    assert decoded == ["b.mp4"]
    assert stored(tmp_path)["b.mp4"].status == "ok"


@pytest.mark.parametrize(
    ("error", "higher"),
    [
        (
            VideoError("timeout", "took too long", facts={SECONDS_FACT: 95.0}),
            LimitsConfig(seconds=600),
        ),
        (
            VideoError(
                "decode_error", "out of memory", transient=True, facts={MEMORY_FACT: 2 << 30}
            ),
            LimitsConfig(memory_bytes=4 << 30),
        ),
    ],
    ids=["time", "memory"],
)
def test_a_video_that_exceeded_a_limit_is_retried_with_a_higher_one_only(
    videos: list[VideoItem],
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    error: VideoError,
    higher: LimitsConfig,
) -> None:
    with monkeypatch.context() as patch:
        failing(patch, "b.mp4", error)
        summary = run(videos)
    failure = next(failure for failure in summary.failures if failure.video_id == "b.mp4")
    assert not failure.transient, "the next extraction would fail in the same way"
    decoded = failing(monkeypatch, "", error)
    assert counts(run(videos)) == (3, 3, 0, 0)
    assert decoded == []
    assert counts(run(videos, limits=higher)) == (3, 2, 1, 0)
    assert decoded == ["b.mp4"]


def test_a_failure_of_the_file_is_only_retried_on_request(
    videos: list[VideoItem], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(videos)
    decoded = failing(monkeypatch, "", OSError())
    assert run(videos).failed_before == 1
    assert decoded == []
    run(videos, retry_failed=True)
    assert decoded == ["c.mp4"]


def test_two_concurrent_runs_share_the_videos_and_both_finish(
    videos: list[VideoItem], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run starts during the first one, and waits for its claimed videos."""
    monkeypatch.setattr(pipeline, "_POLL_SECONDS", 0.01)
    summaries: list[Summary] = []
    threads: list[threading.Thread] = []

    def start_another(outcome: Outcome, profile: Profile | None) -> None:
        if not threads:
            threads.append(threading.Thread(target=lambda: summaries.append(run(videos))))
            threads[0].start()
            time.sleep(0.2)

    first = run(videos, on_video=start_another)
    threads[0].join(timeout=60)
    (second,) = summaries
    assert first.videos == second.videos == 3
    assert first.by_status.total() + second.by_status.total() == 3
    assert first.skipped + second.skipped == 3
    assert len(stored(tmp_path)) == 3
    assert verify(tmp_path / "store").is_whole


def test_records_removed_by_repair_are_extracted_again(
    videos: list[VideoItem], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(videos)
    expected = {record.video_id: record.sha256 for record in stored(tmp_path)}
    (shard,) = (tmp_path / "store").glob("*.h5")
    data = bytearray(shard.read_bytes())
    data[data.index(stored(tmp_path)["a.mp4"].features.tobytes())] ^= 1
    shard.write_bytes(bytes(data))
    assert repair(tmp_path / "store").extract_again == ["a.mp4"]
    decoded = failing(monkeypatch, "", OSError())
    assert counts(run(videos)) == (3, 2, 1, 0)
    assert decoded == ["a.mp4"]
    assert {record.video_id: record.sha256 for record in stored(tmp_path)} == expected


def test_a_moved_folder_is_not_extracted_again(
    videos: list[VideoItem], run: Run, tmp_path: Path
) -> None:
    run(videos)
    moved = (tmp_path / "videos").rename(tmp_path / "moved")
    assert counts(run([replace(item, path=moved / item.video_id) for item in videos])) == (
        (3, 3, 0, 0)
    )


def test_a_new_label_is_stored_without_extracting_again(
    videos: list[VideoItem], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(videos)
    before = stored(tmp_path)["a.mp4"]
    monkeypatch.setattr(Extractor, "build", None)
    changed = replace(videos[0], label=FAKE, groups=("x", "y"), split="test")
    summary = run([changed, *videos[1:]])
    assert counts(summary) == (3, 3, 0, 0)
    assert summary.relabelled == 1
    after = stored(tmp_path)["a.mp4"]
    assert (after.label, after.groups, after.split) == (FAKE, ("x", "y"), "test")
    np.testing.assert_array_equal(after.features, before.features)
    assert after.source == before.source
    assert run([changed, *videos[1:]]).relabelled == 0


def test_retry_failed_extracts_failed_videos_again(
    videos: list[VideoItem], run: Run, tmp_path: Path
) -> None:
    run(videos)
    assert counts(run(videos, retry_failed=True)) == (3, 2, 0, 1)
    write_clip(videos[2].path, 10)
    assert counts(run(videos, retry_failed=True)) == (3, 2, 1, 0)
    assert stored(tmp_path)["c.mp4"].status == "ok"
    assert counts(run(videos, retry_failed=True)) == (3, 3, 0, 0)


def test_a_failed_file_that_was_replaced_is_extracted_again(
    videos: list[VideoItem], run: Run
) -> None:
    run(videos)
    write_clip(videos[2].path, 10)
    assert counts(run(videos)) == (3, 2, 1, 0)


def test_each_video_is_reported_once(videos: list[VideoItem], run: Run) -> None:
    reported: list[Outcome] = []
    run(videos[:1])
    run(videos, on_video=lambda outcome, profile: reported.append(outcome))
    assert (reported[0].video_id, reported[0].skipped) == ("a.mp4", True)
    assert sorted(outcome[:2] for outcome in reported[1:]) == [
        ("b.mp4", "ok"),
        ("c.mp4", "decode_error"),
    ]


def test_reports_include_the_profile(videos: list[VideoItem], run: Run) -> None:
    profiles: list[Profile | None] = []
    summary = run(videos, on_video=lambda outcome, profile: profiles.append(profile))
    assert summary.profile is not None and set(profiles) == {summary.profile}
    done = {name: stage.done for name, stage in summary.profile.stages.items()}
    assert done == {"decode": 3, "detect": 8, "crop": 8, "cnn": 8, "store": 3}
    assert run(videos).profile is None


def test_an_interrupted_run_resumes_where_it_stopped(
    videos: list[VideoItem], run: Run, tmp_path: Path
) -> None:
    def interrupt(outcome: Outcome, profile: Profile | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(videos, on_video=interrupt)
    assert len(stored(tmp_path)) == 1
    summary = run(videos)
    assert (summary.videos, summary.skipped, summary.ok + summary.failed) == (3, 1, 2)


def test_no_videos_make_an_empty_summary(run: Run) -> None:
    assert counts(run([])) == (0, 0, 0, 0)


def test_decoding_processes_give_the_same_records(
    videos: list[VideoItem], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(videos)
    here = {record.video_id: record.sha256 for record in stored(tmp_path)}
    monkeypatch.setattr(Extractor, "build", build_with(Decoders))
    with Extractor.build(resolve(CONFIG), ExecutionConfig(workers=2), len(videos)) as extractor:
        extracted = extractor.records(videos)
        assert {item.video_id: record.sha256 for item, (record,) in extracted} == here


def test_the_folder_of_the_videos_is_noted_while_the_run_goes_on(
    videos: list[VideoItem], run: Run, tmp_path: Path
) -> None:
    noted: list[list[str]] = []
    run(videos, on_video=lambda *_: noted.append(Origins.read(tmp_path / "store").roots))
    folder = [str(tmp_path / "videos")]
    assert noted == [folder] * 3
    assert len(Origins.read(tmp_path / "store")) == 3


def test_a_run_that_fails_notes_the_folder_of_what_it_committed(
    videos: list[VideoItem], run: Run, tmp_path: Path
) -> None:
    def fail(outcome: Outcome, _: Profile | None) -> None:
        if outcome.video_id == "b.mp4":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(videos, on_video=fail)
    assert {"a.mp4", "b.mp4"} <= set(Origins.read(tmp_path / "store"))
    assert set(Origins.read(tmp_path / "store")) <= set(stored(tmp_path).video_ids)


def test_a_store_that_cannot_be_written_can_still_be_resumed(
    videos: list[VideoItem], run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(videos)
    (tmp_path / "store" / "origins.json").unlink()
    with failing_at(0, errno.EROFS):
        assert counts(run(videos)) == (3, 3, 0, 0)
    assert caplog.text.count("the folders of the videos were not noted") == 1
