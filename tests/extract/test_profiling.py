"""Times, pressures and the bottleneck of a profile."""

from __future__ import annotations

import pytest

from deepfake_seq.extract import profiling
from deepfake_seq.extract.profiling import (
    PREPARING,
    STAGES,
    Profile,
    Snapshot,
    Stage,
    SummedProfile,
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The current time, set by the test."""
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


def test_the_bottleneck_is_the_busiest_stage(clock: list[float]) -> None:
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


def test_the_clock_stops_between_runs(clock: list[float]) -> None:
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


def test_time_is_counted_if_the_stage_raises(clock: list[float]) -> None:
    profile = Profile()
    profile.start(lanes=1)
    with pytest.raises(KeyError), profile.measure("cnn", 3):
        clock[0] += 1.0
        raise KeyError
    assert profile.stages["cnn"].busy_seconds == 1.0


def test_an_empty_run_does_not_divide_by_zero() -> None:
    table = Profile().to_dict()
    assert list(table["stages"]) == list(STAGES)
    assert table["seconds"] == 0.0


def test_a_snapshot_resets_the_counts(clock: list[float]) -> None:
    profile = Profile()
    profile.start(lanes=2)
    profile.add("decode", 3.0, 1)
    clock[0] += 4.0
    first = profile.take_snapshot()
    clock[0] += 1.0
    profile.stop()
    clock[0] += 50.0
    second = profile.take_snapshot()
    assert (first.seconds, first.stages["decode"].busy_seconds) == (4.0, 3.0)
    assert (second.seconds, second.stages["decode"].busy_seconds) == (1.0, 0.0)
    assert second.stages["decode"].lanes == 2
    assert profile.take_snapshot().seconds == 0.0


def snapshot(lanes: int, busy_seconds: float, seconds: float) -> Snapshot:
    """The snapshot of a process that has decoded one video."""
    stages = {name: Stage(lanes=lanes if name in PREPARING else 1) for name in STAGES}
    stages["decode"] = Stage(busy_seconds, 1, lanes)
    return Snapshot(stages, seconds)


def test_snapshots_of_processes_are_summed(clock: list[float]) -> None:
    profile = SummedProfile()
    profile.start(0)
    clock[0] += 10.0
    profile.add_snapshot(snapshot(lanes=2, busy_seconds=20.0, seconds=10.0))
    profile.add_snapshot(snapshot(lanes=2, busy_seconds=10.0, seconds=10.0))
    stage = profile.stages["decode"]
    assert (stage.lanes, stage.busy_seconds, stage.done) == (4, 30.0, 2)
    assert profile.stages["cnn"].lanes == 2
    assert profile.pressure("decode") == pytest.approx(30 / 40)
    assert profile.bottleneck == "decode"


def test_a_process_only_counts_while_it_runs(clock: list[float]) -> None:
    profile = SummedProfile()
    profile.start(0)
    clock[0] += 10.0
    profile.add_snapshot(snapshot(lanes=2, busy_seconds=20.0, seconds=10.0))
    profile.add_snapshot(snapshot(lanes=2, busy_seconds=0.0, seconds=5.0))  # it came later
    assert profile.stages["decode"].lanes == 3  # on average
    assert profile.pressure("decode") == pytest.approx(20 / 30)


def test_pressure_is_zero_before_the_first_snapshot() -> None:
    table = SummedProfile().to_dict()
    assert table["stages"]["cnn"]["idle_seconds"] == 0.0
