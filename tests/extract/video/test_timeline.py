"""Time stamps that jump or start again, and parts of a video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from clips import STYLES, ClipStyle, number_in, read_all, write_clip
from hypothesis import given
from hypothesis import strategies as st
from remuxing import join

from deepfake_seq.config import SamplingConfig
from deepfake_seq.extract.video.decode import decode, frames_at
from deepfake_seq.extract.video.timeline import increasing

SIXTEEN = SamplingConfig()
HOUR = 3600.0


def recordings(folder: Path, suffix: str, lengths: Sequence[int]) -> list[Path]:
    style = STYLES["h264.ts" if suffix == ".ts" else "h264.mp4"]
    return [write_clip(folder / f"{n}{suffix}", length, style) for n, length in enumerate(lengths)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_two_recordings_an_hour_apart_are_both_sampled(suffix: str, tmp_path: Path) -> None:
    first, second = recordings(tmp_path, ".mp4", [80, 80])
    path = join([first, second], tmp_path / f"joined{suffix}", [0, HOUR])
    video = decode(path, SIXTEEN)
    assert (video.status, video.reason) == ("ok", "")
    assert video.frames is not None
    assert video.frames.frame_index.tolist() == [5 + 10 * n for n in range(16)]
    numbers = [number_in(image) for image in video.frames.images_rgb]
    assert numbers == [index % 80 for index in video.frames.frame_index]
    assert np.count_nonzero(video.frames.pts_seconds < HOUR / 2) == 8
    assert video.facts["duration_seconds"] > HOUR


@pytest.mark.parametrize(("lengths", "status"), [((80, 80), "ok"), ((40, 120), "ok")])
def test_recordings_joined_byte_by_byte_are_both_sampled(
    lengths: tuple[int, int], status: str, tmp_path: Path
) -> None:
    path = tmp_path / "joined.ts"
    parts = recordings(tmp_path, ".ts", lengths)
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    video = decode(path, SIXTEEN)
    assert video.frames is not None, video.reason
    assert video.facts["frames_total"] == sum(lengths)
    assert video.facts["duration_seconds"] == pytest.approx(sum(lengths) / 25, abs=0.05)
    assert np.abs(np.diff(video.frames.frame_index) - 10).max() <= 1
    numbers = [number_in(image) for image in video.frames.images_rgb]
    assert numbers == [
        index if index < lengths[0] else index - lengths[0] for index in video.frames.frame_index
    ]
    assert (video.status, video.reason) == (status, "")


def test_a_later_recording_with_earlier_times_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    late = ClipStyle(options=STYLES["h264.ts"].options, container={"output_ts_offset": "20"})
    first = write_clip(tmp_path / "late.ts", 60, late)
    second = write_clip(tmp_path / "early.ts", 60, STYLES["h264.ts"])
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    video = decode(path, SIXTEEN)
    assert video.frames is not None, video.reason
    numbers = [number_in(image) for image in video.frames.images_rgb]
    assert numbers == [index % 60 for index in video.frames.frame_index]
    assert np.abs(np.diff(video.frames.frame_index) - 7.5).max() <= 1
    assert (np.diff(video.frames.pts_seconds) > 0).all()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.data())
def test_times_continue_where_they_start_again(lengths: list[int], data: st.DataObject) -> None:
    starts = [data.draw(st.integers(0, 10**6)) * 1000.0 for _ in lengths]
    seconds = np.concatenate(
        [start + np.arange(length) for start, length in zip(starts, lengths, strict=True)]
    )
    repaired = increasing(seconds)
    assert (np.diff(repaired) >= 0).all()
    forward = np.diff(seconds) > 0
    kept = np.isclose(np.diff(repaired), np.diff(seconds)) | ~forward
    if all(length >= 32 for length in lengths):
        assert kept.all()


@pytest.mark.parametrize(("damaged", "repaired"), [(3.0, 49.0), (99.0, 51.0), (5000.0, 51.0)])
def test_a_single_damaged_time_moves_no_other(damaged: float, repaired: float) -> None:
    seconds = np.arange(100.0)
    seconds[50] = damaged
    expected = np.arange(100.0)
    expected[50] = repaired
    np.testing.assert_array_equal(increasing(seconds), expected)


@pytest.mark.parametrize("name", STYLES)
def test_frames_of_a_part_are_those_of_a_full_decode(name: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / name, 60, STYLES[name])
    _, images = read_all(path)
    for positions in ([0], [13, 14], [31, 47], [59]):
        frames = frames_at(path, positions)
        assert frames is not None
        assert frames.frame_index.tolist() == positions
        for image, position in zip(frames.images_rgb, positions, strict=True):
            np.testing.assert_array_equal(image, images[position])


def test_an_error_elsewhere_does_not_matter_for_a_time_span(tmp_path: Path) -> None:
    whole = write_clip(
        tmp_path / "clip.mp4",
        100,
        ClipStyle(options=STYLES["h264.mp4"].options, container={"movflags": "faststart"}),
    )
    data = whole.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: int(0.8 * len(data))])
    assert decode(path, SIXTEEN).status == "partial"
    assert decode(path, SIXTEEN, span=(0.0, 1.0)).status == "ok"
    assert decode(path, SIXTEEN, span=(0.5, 9.0)).status == "partial"


def test_positions_after_the_end_are_left_out(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 20)
    frames = frames_at(path, [4, 30])
    assert frames is not None
    assert frames.frame_index.tolist() == [4]
    assert frames_at(path, [20, 21]) is None
    assert frames_at(path, []) is None
