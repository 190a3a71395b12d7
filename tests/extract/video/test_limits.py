"""Limits on time and memory follow the video, unless they are set."""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import UHD, ask_and_wait, memory_after_asking, work_and_wait
from clips import ClipStyle, write_clip
from hypothesis import given
from hypothesis import strategies as st

from deepfake_seq.config import LimitsConfig, SamplingConfig
from deepfake_seq.config.execution import GIB, MAX_SECONDS, MEMORY_FACT, SECONDS_FACT
from deepfake_seq.errors import UsageError, VideoError
from deepfake_seq.extract.video import isolated_process
from deepfake_seq.extract.video.allowance import needed_memory, time_limit
from deepfake_seq.extract.video.decode import DecodedVideo
from deepfake_seq.extract.video.decoder_pool import Decoders
from deepfake_seq.extract.video.isolated_process import IsolatedProcess

HD = 1920 * 1080


def test_a_short_clip_keeps_the_usual_limits() -> None:
    assert time_limit(1_000_000, 300 * 640 * 360) < 70
    assert needed_memory(HD, 16, 1) == 2 * GIB


def test_an_hour_of_4k60_gets_hours_and_more_memory() -> None:
    assert time_limit(20 * GIB, 3600 * 60 * UHD) > 4 * 3600
    assert needed_memory(UHD, 64, 2) > 4 * GIB


sizes = st.integers(0, 1 << 40)


@given(sizes, sizes, sizes, sizes)
def test_a_larger_video_never_gets_less_time(
    size: int, more: int, pixels: int, longer: int
) -> None:
    least, most = time_limit(size, pixels), time_limit(size + more, pixels + longer)
    assert 60 <= least <= most <= MAX_SECONDS


@pytest.mark.slow
def test_a_long_video_gets_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated_process, "MIN_SECONDS", 1.0)
    process = IsolatedProcess(LimitsConfig())
    assert process.call(ask_and_wait, LimitsConfig()) == "done"
    process.close()


def test_a_time_limit_that_is_set_stays() -> None:
    limits = LimitsConfig(seconds=1.0)
    process = IsolatedProcess(limits)
    with pytest.raises(VideoError, match="decoding took longer than 1 s") as caught:
        process.call(ask_and_wait, limits)
    assert caught.value.facts == {SECONDS_FACT: 1.0}
    process.close()


@pytest.mark.parametrize(("share", "advised"), [(0.02, 120), (0.5, 10), (0.0, 10)])
def test_a_timeout_advises_a_time_that_would_do(share: float, advised: int) -> None:
    process = IsolatedProcess(LimitsConfig(seconds=1.0))
    with pytest.raises(VideoError, match=f"; try --timeout {advised}$"):
        process.call(work_and_wait, share)
    process.close()


def test_large_frames_get_more_memory_unless_it_is_set() -> None:
    for limits, expected in (
        (LimitsConfig(), needed_memory(UHD, 64, 0)),
        (LimitsConfig(memory_bytes=GIB), GIB),
    ):
        process = IsolatedProcess(limits)
        assert process.call(memory_after_asking, limits) == expected
        process.close()


def decode_4k(folder: Path, limits: LimitsConfig) -> DecodedVideo:
    style = ClipStyle(size=(3840, 2160), options={"preset": "ultrafast"})
    path = write_clip(folder / "4k.mp4", 8, style)
    with Decoders(1, SamplingConfig(frames=4), limits) as decoders:
        return decoders.decode(path)


def test_a_lack_of_memory_names_the_option_and_a_value(tmp_path: Path) -> None:
    video = decode_4k(tmp_path, LimitsConfig(memory_bytes=GIB // 2))
    assert (video.status, video.reason) == (
        "decode_error",
        "out of memory: decoding needs more than 0.5 GiB; try --memory 2",
    )
    assert video.transient
    assert video.facts == {MEMORY_FACT: GIB // 2}


def test_a_video_is_only_tried_again_with_higher_limits() -> None:
    usual, longer = LimitsConfig(), LimitsConfig(seconds=600)
    assert longer.exceed({SECONDS_FACT: 95.0})
    assert not longer.exceed({SECONDS_FACT: 600.0})
    assert not usual.exceed({SECONDS_FACT: 95.0})
    assert usual.exceed({SECONDS_FACT: 5.0})
    assert not longer.exceed({MEMORY_FACT: 2 * GIB})
    assert LimitsConfig(memory_bytes=3 * GIB).exceed({MEMORY_FACT: 2 * GIB})
    assert usual.exceed({"codec": "h264"}), "not a limit: the machine failed"
    assert usual.exceed({SECONDS_FACT: "damaged"})


def test_too_little_memory_is_refused_in_gib() -> None:
    with pytest.raises(
        UsageError,
        match=r"memory must be from 0.5 to 65536 GiB.* Received: 0.25",
    ):
        LimitsConfig(memory_bytes=GIB // 4)
