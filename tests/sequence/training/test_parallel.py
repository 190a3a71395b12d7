"""Members that are trained at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from threading import Barrier, Event, current_thread, main_thread

import numpy as np
import pytest

from deepfake_seq.config import ModelConfig, TrainConfig
from deepfake_seq.sequence.data.clip import Clip
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.data.features import ArrayFeatures
from deepfake_seq.sequence.training.ensemble import ExperimentConfig, Pair, fit_ensemble
from deepfake_seq.sequence.training.parallel import run_parallel

WAIT_SECONDS = 60


def test_results_are_in_the_order_of_the_tasks() -> None:
    second_is_done = Event()

    def first(check: Callable[[], None]) -> str:
        assert second_is_done.wait(WAIT_SECONDS)
        return "first"

    def second(check: Callable[[], None]) -> str:
        second_is_done.set()
        return "second"

    assert run_parallel([first, second]) == ["first", "second"]


@pytest.mark.parametrize("fails_first", [True, False], ids=["first fails", "second fails"])
def test_a_failure_is_raised_and_ends_the_other_tasks(fails_first: bool) -> None:
    running, ended = Barrier(2, timeout=WAIT_SECONDS), []

    def failing(check: Callable[[], None]) -> None:
        running.wait()
        raise ValueError("the first problem")

    def endless(check: Callable[[], None]) -> None:
        running.wait()
        try:
            while True:
                check()
        finally:
            ended.append("endless")

    with pytest.raises(ValueError, match="the first problem"):
        run_parallel([failing, endless] if fails_first else [endless, failing])
    assert ended == ["endless"]


def test_tasks_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    one_at_a_time = 0  # one more task than there are cores runs
    monkeypatch.setattr("deepfake_seq.sequence.training.parallel.cores", lambda: one_at_a_time)
    order, started = list[int](), set[int]()

    def task(number: int, check: Callable[[], None]) -> None:
        started.add(number)
        deadline = time.monotonic() + WAIT_SECONDS
        while len(started) < 5 and time.monotonic() < deadline:
            check()
        for _ in range(50):
            order.append(number)
            check()

    run_parallel([partial(task, number) for number in range(5)])
    rounds = [order[start : start + 5] for start in range(0, 250, 5)]
    assert set(rounds[0]) == set(range(5)) and rounds == 50 * [rounds[0]]


@pytest.fixture
def pairs() -> list[Pair]:
    """Training and validation clips of three members."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(60, 4, 6)).astype(np.float16)
    clips = tuple(Clip(str(number), number % 2) for number in range(60))
    data = SequenceData(clips, ArrayFeatures(features, np.ones((60, 4), dtype=bool)), np.arange(60))
    held_out = np.split(np.arange(60), 3)
    return [(data.take(np.setdiff1d(np.arange(60), rows)), data.take(rows)) for rows in held_out]


@pytest.mark.parametrize(("memory_bytes", "at_once"), [(30_000, False), (40_000, True)])
def test_networks_are_trained_one_by_one_if_their_weights_need_too_much_memory(
    memory_bytes: int, at_once: bool, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "deepfake_seq.sequence.training.ensemble"
    monkeypatch.setattr(f"{module}.TRAINING_MEMORY_BYTES", memory_bytes)
    config = ExperimentConfig(ModelConfig("gru", units=(4,)), TrainConfig(epochs=2))
    threads = set()
    fit_ensemble(pairs, config, on_epoch=lambda epoch, row: threads.add(current_thread()))
    assert (main_thread() not in threads) == at_once


def test_a_member_does_not_depend_on_those_trained_at_the_same_time(pairs: list[Pair]) -> None:
    config = ExperimentConfig(ModelConfig(units=(4,)), TrainConfig(epochs=3))
    together = [fit_ensemble(pairs, config).members for _ in range(2)]
    alone = fit_ensemble(pairs[:1], config).members
    for one, other in (*zip(*together, strict=True), (together[0][0], alone[0])):
        assert one.history == other.history
        for name, tensor in one.network.tensors.items():
            assert np.array_equal(tensor, other.network.tensors[name]), name
