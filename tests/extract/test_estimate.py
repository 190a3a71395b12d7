"""The estimate of a long extraction."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepfake_seq.config import ExecutionConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.estimate import Estimate, mixed
from deepfake_seq.extract.profiling import Profile
from deepfake_seq.extract.resume import Outcome


class TwoSecondsEach(Profile):
    """The clock of an extraction that takes two seconds per video."""

    videos = 0

    @property
    def seconds(self) -> float:
        return 2.0 * self.videos


def sentences(store: Path, videos: int, *, skipped: int = 0) -> list[tuple[int, str]]:
    """Extract `videos` of 1,000 bytes each; return the estimates, each after how many videos."""
    estimate = Estimate(videos, store, ExecutionConfig(workers=1))
    found = []
    for _ in range(skipped):
        assert estimate.add(Outcome("old.mp4", "ok", skipped=True), None) is None
    profile = TwoSecondsEach()
    for number in range(videos - skipped):
        (store / f"{number}.h5").write_bytes(bytes(1000))
        profile.videos += 1
        sentence = estimate.add(Outcome(f"{number}.mp4", "ok"), profile)
        found += [(number + 1, sentence)] if sentence else []
    return found


def test_the_first_videos_give_one_estimate_of_time_and_disk(tmp_path: Path) -> None:
    (tmp_path / "old.h5").write_bytes(bytes(5000))
    ((number, sentence),) = sentences(tmp_path, 300)
    assert number == 20
    assert "300 videos will take about 10 min and 300 kB of disk space" in sentence
    assert "Measured on 20 videos in random order: 2.00 s and 1 kB per video." in sentence
    assert "TOO LITTLE" not in sentence


def test_videos_in_the_store_are_not_estimated(tmp_path: Path) -> None:
    ((_, sentence),) = sentences(tmp_path, 300, skipped=150)
    assert "150 videos will take about 5 min and 150 kB" in sentence


def test_a_shard_that_another_process_removes_meanwhile_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "gone.h5").symlink_to("nowhere")  # is listed, and then does not exist
    ((_, sentence),) = sentences(tmp_path, 300)
    assert "300 kB of disk space" in sentence


def test_few_videos_get_no_estimate(tmp_path: Path) -> None:
    assert sentences(tmp_path, 100) == []
    assert sentences(tmp_path, 150, skipped=50) == []


def test_too_little_disk_space_is_pointed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("", (), {"free": 90_000}))
    ((_, sentence),) = sentences(tmp_path, 120)
    assert "(90 kB free, TOO LITTLE)" in sentence


def test_the_first_videos_come_from_all_folders() -> None:
    items = [VideoItem(Path(f"{n // 100}/{n}.mp4"), f"{n // 100}/{n}.mp4") for n in range(400)]
    order = mixed(items)
    assert sorted(item.path for item in order) == sorted(item.path for item in items)
    assert {item.video_id[0] for item in order[:20]} == set("0123")
    assert mixed(items) == order
