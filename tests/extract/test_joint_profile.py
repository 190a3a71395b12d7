"""Several machines' profiles in one: the pressure stays that of what they had."""

from __future__ import annotations

import pytest

from deepfake_seq.extract.profiling import PREPARING, STAGES, JointProfile, Snapshot, Stage


def snapshot(seconds: float, lanes: int, busy: float, done: int = 1) -> Snapshot:
    stages = {name: Stage(lanes=lanes if name in PREPARING else 1) for name in STAGES}
    stages["decode"] = Stage(busy, done, lanes)
    return Snapshot(stages, seconds)


def test_machines_are_added_up() -> None:
    profile = JointProfile()
    profile.take("a", snapshot(10.0, 2, 20.0, 5))
    profile.take("b", snapshot(10.0, 2, 10.0, 3))
    stage = profile.stages["decode"]
    assert (stage.lanes, stage.busy_seconds, stage.done) == (4, 30.0, 8)
    assert profile.pressure("decode") == pytest.approx(30 / 40)
    assert profile.stages["cnn"].lanes == 2
    assert profile.bottleneck == "decode"


def test_what_a_machine_says_later_takes_the_place_of_what_it_said() -> None:
    profile = JointProfile()
    profile.take("a", snapshot(10.0, 1, 2.0, 1))
    profile.take("a", snapshot(20.0, 1, 15.0, 9))
    assert profile.stages["decode"].done == 9
    assert profile.pressure("decode") == pytest.approx(15 / 20)


def test_what_a_lost_machine_did_still_counts_but_its_lanes_are_gone() -> None:
    profile = JointProfile()
    profile.take("a", snapshot(10.0, 2, 20.0, 5))
    profile.leave("a")
    profile.leave("never there")
    assert profile.stages["decode"].lanes == 0
    assert profile.stages["decode"].done == 5
    profile.take("a", snapshot(10.0, 2, 0.0, 0))  # its process was started again
    assert profile.stages["decode"].lanes == 2
    assert profile.pressure("decode") == pytest.approx(20 / 40)


def test_nobody_is_under_pressure_before_anything_was_done() -> None:
    profile = JointProfile()
    assert profile.pressure("cnn") == 0.0
    assert profile.to_dict()["stages"]["cnn"]["idle_seconds"] == 0.0
