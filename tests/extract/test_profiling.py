"""Where the time goes."""

from __future__ import annotations

import pytest

from deepfake_seq.extract import profiling
from deepfake_seq.extract.profiling import STAGES, Profile


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set by the test."""
    now = [100.0]
    monkeypatch.setattr(profiling.time, "monotonic", lambda: now[0])
    return now


def test_time_and_counts_add_up(clock: list[float]) -> None:
    profile = Profile()
    profile.start(lanes=2)
    for _ in range(3):
        with profile.measure("decode", 1):
            clock[0] += 2.0
    table = profile.to_dict()
    assert table["seconds"] == 6.0
    assert table["stages"]["decode"] == {
        "lanes": 2,
        "busy_seconds": 6.0,
        "idle_seconds": None,
        "done": 3,
        "unit": "videos",
        "per_second": 0.5,
    }
    assert table["stages"]["crop"]["idle_seconds"] == 6.0  # of two lanes of 6 s, one was busy


def test_the_bottleneck_is_where_there_is_least_time_to_spare(clock: list[float]) -> None:
    profile = Profile()
    profile.start(lanes=4)
    clock[0] += 10.0
    profile.add("decode", 8.0, 5)
    profile.add("detect", 12.0, 5)
    profile.add("cnn", 6.0, 5)
    assert profile.bottleneck == "cnn"  # 6 of 10 s, where the four lanes had 20 of 40
    profile.add("decode", 8.0, 5)
    assert profile.pressure("decode") == profile.pressure("detect") == 0.7
    assert profile.bottleneck == "decode"


def test_the_clock_stands_still_between_runs(clock: list[float]) -> None:
    profile = Profile()
    assert profile.seconds == 0.0
    profile.start(lanes=1)
    clock[0] += 5.0
    profile.stop()
    clock[0] += 100.0
    assert profile.seconds == 5.0
    profile.start(lanes=1)
    clock[0] += 1.0
    assert profile.seconds == 6.0


def test_time_counts_where_the_stage_fails(clock: list[float]) -> None:
    profile = Profile()
    profile.start(lanes=1)
    with pytest.raises(KeyError), profile.measure("cnn", 3):
        clock[0] += 1.0
        raise KeyError
    assert profile.stages["cnn"].busy_seconds == 1.0


def test_a_run_of_nothing_divides_by_nothing() -> None:
    table = Profile().to_dict()
    assert list(table["stages"]) == list(STAGES)
    assert table["seconds"] == 0.0
