"""Decoding in other processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import number_in, write_clip

from deepfake_seq.config import SamplingConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.workers import decode_all, default_workers

FOUR = SamplingConfig(frames=4)


def items_in(folder: Path, count: int) -> list[VideoItem]:
    """Clips of 8, 9, 10, ... frames."""
    return [
        VideoItem(write_clip(folder / f"{number}.mp4", 8 + number), f"{number}.mp4")
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 7])
def test_every_video_comes_back_exactly_once_with_its_own_frames(
    count: int, tmp_path: Path
) -> None:
    items = items_in(tmp_path, count)
    results = list(decode_all(iter(items), FOUR, 2))
    assert sorted(item.video_id for item, _ in results) == [item.video_id for item in items]
    for item, video in results:
        assert video.facts["frames_total"] == 8 + int(item.path.stem)
        assert video.frames is not None
        shown = [number_in(image) for image in video.frames.images_rgb]
        assert shown == video.frames.frame_index.tolist()
    assert multiprocessing.active_children() == []


def test_a_broken_file_comes_back_with_its_status_among_the_others(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    items = [VideoItem(broken, "broken.mp4"), *items_in(tmp_path, 2)]
    statuses = {item.video_id: video.status for item, video in decode_all(items, FOUR, 2)}
    assert statuses == {"broken.mp4": "decode_error", "0.mp4": "ok", "1.mp4": "ok"}


def test_stopping_early_leaves_no_process_and_takes_few_videos(tmp_path: Path) -> None:
    asked = []

    def queue(items: list[VideoItem]) -> Iterator[VideoItem]:
        for item in items:
            asked.append(item)
            yield item

    results = decode_all(queue(items_in(tmp_path, 12)), FOUR, 2)
    next(results)
    results.close()
    assert multiprocessing.active_children() == []
    assert len(asked) <= 4


def test_as_many_workers_as_cores_but_no_more_than_four(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, workers in ((1, 1), (2, 2), (64, 4), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert default_workers() == workers
