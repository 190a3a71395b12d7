from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from records import make_record, make_store, write_store
from sweeping import BASE, made_up, make_plan, outcomes

from deepfake_seq.config import TrainConfig
from deepfake_seq.errors import DatasetError, RunError, TrainingError, UsageError
from deepfake_seq.sequence import sweep as sweeping
from deepfake_seq.sequence import sweep_files, trials
from deepfake_seq.sequence.features import ArrayFeatures
from deepfake_seq.sequence.learning import Recipe
from deepfake_seq.store import FeatureRecord, FeatureStore

TESTS = Path(__file__).parents[1]
LOGISTIC = {"model": ["logistic"], "inputs": ["features,delta,both"]}
DRAWN = {"model": ["gru,logistic"], "learning_rate": ["1e-4:1e-2"], "gamma": ["0:3"]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return make_store(tmp_path_factory.mktemp("stores") / "store", shift=0.2)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Recipe]]:
    """Nothing is trained; gives the recipes that would have been."""
    asked: list[Recipe] = []

    def validate(pairs: object, recipe: Recipe) -> trials.Round:
        asked.append(recipe)
        return made_up(pairs, recipe)

    monkeypatch.setattr(sweeping, "validate", validate)
    yield asked


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / sweep_files.TRIALS).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_grid_tries_every_setting_with_every_seed(
    store: FeatureStore, tmp_path: Path, quick: list[Recipe]
) -> None:
    texts = {"model": ["gru,dense"], "learning_rate": ["1e-4,1e-3"], "dropout": ["0,0.5"]}
    swept = sweeping.sweep(make_plan(store, texts, seeds=3), tmp_path / "x")
    tried = {
        (own.model.name, own.train.learning_rate, own.model.dropout, own.train.seed)
        for own in quick
    }
    assert len(tried) == len(quick) == 2 * 2 * 2 * 3
    assert len(swept.ranked) == len(table(tmp_path / "x")) == 8
    means = [own.mean for own in swept.ranked]
    assert means == sorted(means, reverse=True)
    assert all(own.spread is not None and own.spread > 0 for own in swept.ranked)


def test_a_setting_does_not_win_by_one_lucky_seed(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def validate(pairs: object, recipe: Recipe) -> trials.Round:
        lucky = recipe.model.inputs == "delta" and recipe.train.seed == 0
        steady = 0.8 if recipe.model.inputs == "both" else 0.6
        return trials.Round(0.99 if lucky else steady, 0.1, 0.0)

    monkeypatch.setattr(sweeping, "validate", validate)
    swept = sweeping.sweep(make_plan(store, LOGISTIC, seeds=4), tmp_path / "x")
    assert [own.setting["inputs"] for own in swept.ranked] == ["both", "delta", "features"]
    assert swept.best.train.seed == 0, "the first seed, not the best one"


@pytest.mark.parametrize(("strategy", "count"), [("random", 4), ("tpe", 13)])
def test_what_is_drawn_depends_on_the_seed_alone(
    strategy: str, count: int, store: FeatureStore, tmp_path: Path, quick: list[Recipe]
) -> None:
    drawn = {}
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        base = replace(BASE, train=replace(BASE.train, seed=seed))
        plan = make_plan(store, DRAWN, base, strategy=strategy, trials=count, seeds=1)
        swept = sweeping.sweep(plan, tmp_path / name)
        drawn[name] = sorted(outcomes(swept), key=lambda own: int(own[0]))
    assert drawn["one"] == drawn["two"] != drawn["other"]


@pytest.mark.parametrize(("strategy", "counts"), [("random", (2, 5)), ("tpe", (3, 11, 14))])
def test_more_trials_of_a_sweep_that_was_done_are_those_of_a_longer_one(
    strategy: str,
    counts: tuple[int, ...],
    store: FeatureStore,
    tmp_path: Path,
    quick: list[Recipe],
) -> None:
    for trial_count in counts:
        plan = make_plan(store, DRAWN, strategy=strategy, trials=trial_count, seeds=1)
        in_parts = sweeping.sweep(plan, tmp_path / "parts")
    assert outcomes(in_parts) == outcomes(sweeping.sweep(plan, tmp_path / "once"))


def test_a_setting_that_is_drawn_again_is_not_trained_again(
    store: FeatureStore, tmp_path: Path, quick: list[Recipe]
) -> None:
    plan = make_plan(store, LOGISTIC, strategy="random", trials=12)
    swept = sweeping.sweep(plan, tmp_path / "x")
    assert len(quick) == len(set(quick)) <= 3 * 2
    assert swept.trials == len(table(tmp_path / "x")) == 12
    assert len(swept.ranked) == len(quick) / 2


def test_what_is_complete_stays_as_it_is(
    store: FeatureStore, tmp_path: Path, quick: list[Recipe]
) -> None:
    plan = make_plan(store, LOGISTIC)
    first = sweeping.sweep(plan, tmp_path / "x")
    trained = len(quick)
    told: list[tuple[int, ...]] = []
    again = sweeping.sweep(plan, tmp_path / "x", lambda *counts: told.append(counts))
    assert told == [(3, 3, 0)] and len(quick) == trained
    assert outcomes(again) == outcomes(first)


def test_an_interruption_loses_the_training_under_way_and_nothing_else(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Recipe] = []

    def validate(pairs: object, recipe: Recipe) -> trials.Round:
        asked.append(recipe)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return made_up(pairs, recipe)

    monkeypatch.setattr(sweeping, "validate", validate)
    plan = make_plan(store, LOGISTIC)
    with pytest.raises(KeyboardInterrupt):
        sweeping.sweep(plan, tmp_path / "x")
    assert len(table(tmp_path / "x")) == 1, "of the second trial, one seed was done"
    swept = sweeping.sweep(plan, tmp_path / "x")
    assert len(asked) == 3 * 2 + 1 and len(set(asked)) == 6
    monkeypatch.setattr(sweeping, "validate", made_up)
    assert outcomes(swept) == outcomes(sweeping.sweep(plan, tmp_path / "whole"))


def crash(folder: Path, step: int) -> int:
    """How many kills a small sweep survived."""
    result = subprocess.run(
        [sys.executable, TESTS / "sequence" / "crashing_sweep.py", folder, str(step)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


def test_a_sweep_that_is_killed_at_any_moment_ends_as_one_that_is_not(tmp_path: Path) -> None:
    assert crash(tmp_path, step=23) > 5


@pytest.mark.slow
def test_a_sweep_that_is_killed_at_many_moments_ends_as_one_that_is_not(tmp_path: Path) -> None:
    assert crash(tmp_path, step=5) > 30


def test_a_process_that_is_killed_while_it_trains_is_taken_up_again(
    store: FeatureStore, tmp_path: Path
) -> None:
    code = (
        f"import sys; sys.path[:0] = {[str(TESTS), str(TESTS / 'sequence')]}\n"
        "from pathlib import Path; import sweeping as s\n"
        "from deepfake_seq.store import FeatureStore\n"
        f"plan = s.make_plan(FeatureStore.open({str(store.path)!r}), {LOGISTIC!r}, seeds=9)\n"
        f"s.sweeping.sweep(plan, Path({str(tmp_path / 'x')!r}))"
    )
    child = subprocess.Popen([sys.executable, "-c", code])
    try:
        while not (tmp_path / "x" / sweep_files.TRIALS).exists():
            assert child.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    plan = make_plan(store, LOGISTIC, seeds=9)
    told: list[tuple[int, ...]] = []
    swept = sweeping.sweep(plan, tmp_path / "x", lambda *counts: told.append(counts))
    assert told[0][0] >= 1 and told[0][1] == 3
    assert outcomes(swept) == outcomes(sweeping.sweep(plan, tmp_path / "whole"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"texts": {**LOGISTIC, "inputs": ["both,delta"]}}, "search.inputs is features,delta,both"),
        ({"seeds": 5}, "search.seeds is 2 there, 5 here"),
        ({"strategy": "random"}, "search.strategy is grid there, random here"),
        ({"base": replace(BASE, train=TrainConfig(epochs=2, members=1))}, "train.epochs is 1"),
        ({"base": replace(BASE, split=replace(BASE.split, test=0.3))}, "split.test is 0.2 there"),
    ],
    ids=lambda own: own if isinstance(own, str) else "",
)
def test_another_search_in_the_same_folder_is_refused_and_told_apart(
    changes: dict[str, Any], message: str, store: FeatureStore, tmp_path: Path, quick: list[Recipe]
) -> None:
    sweeping.sweep(make_plan(store, LOGISTIC), tmp_path / "x")
    trained = len(quick)
    changes = {"texts": LOGISTIC, **changes}
    with pytest.raises(UsageError, match=rf"x is another sweep: .*{message}"):
        sweeping.sweep(make_plan(store, **changes), tmp_path / "x")
    assert len(quick) == trained


def test_other_clips_are_refused_even_if_they_are_as_many(
    store: FeatureStore, tmp_path: Path, quick: list[Recipe]
) -> None:
    sweeping.sweep(make_plan(store, LOGISTIC), tmp_path / "x")
    more = make_store(tmp_path / "more", clips=42)
    with pytest.raises(UsageError, match=r"clips.fake is 20 there, 21 here.*Give another --out"):
        sweeping.sweep(make_plan(more, LOGISTIC), tmp_path / "x")
    named = (
        make_record(f"{n:03}.mp4", seed=n, label=n % 2, groups=(f"somebody{n % 20}",))
        for n in range(40)
    )
    other = write_store(tmp_path / "other", named)
    with pytest.raises(UsageError, match=r"clips.sha256 is \w+ there, \w+ here"):
        sweeping.sweep(make_plan(other, LOGISTIC), tmp_path / "x")


def test_a_setting_that_diverges_is_kept_as_failed_and_the_rest_goes_on(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Recipe] = []

    def validate(pairs: object, recipe: Recipe) -> trials.Round:
        asked.append(recipe)
        if recipe.model.inputs == "delta" and recipe.train.seed == 1:
            raise TrainingError("training logistic diverged in epoch 3")
        return made_up(pairs, recipe)

    monkeypatch.setattr(sweeping, "validate", validate)
    plan = make_plan(store, LOGISTIC, seeds=3)
    swept = sweeping.sweep(plan, tmp_path / "x")
    assert [own.setting["inputs"] for own in swept.failed] == ["delta"]
    assert {own.setting["inputs"] for own in swept.ranked} == {"features", "both"}
    rows = {row["inputs"]: row for row in table(tmp_path / "x")}
    assert rows["delta"]["failed"] == "with seed 1: training logistic diverged in epoch 3"
    assert rows["delta"]["auc"] == "" and rows["both"]["failed"] == ""
    trained = len(asked)
    again = sweeping.sweep(plan, tmp_path / "x")
    assert outcomes(again) == outcomes(swept) and len(asked) == trained, "it was tried once"


def test_a_sweep_in_which_nothing_can_be_trained_says_why(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def validate(pairs: object, recipe: Recipe) -> trials.Round:
        raise TrainingError("training gru diverged in epoch 1")

    monkeypatch.setattr(sweeping, "validate", validate)
    with pytest.raises(TrainingError, match=r"none of 3 settings .* with seed 0: training gru"):
        sweeping.sweep(make_plan(store, LOGISTIC), tmp_path / "x")


def records(turned: bool) -> Iterator[FeatureRecord]:
    for n in range(40):
        part = "train" if n < 20 else "validation" if n < 30 else "test"
        label = n % 2 if part != "test" or not turned else 1 - n % 2
        yield make_record(f"{n:02}.mp4", seed=n, shift=0.4 * (n % 2), label=label, split=part)


def test_no_network_is_shown_a_test_clip_and_their_labels_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = [
        make_plan(
            write_store(tmp_path / f"s{turned}", records(turned)), {"model": ["dense,logistic"]}
        )
        for turned in (False, True)
    ]
    shown: set[int] = set()
    whole = ArrayFeatures.read

    def read(features: ArrayFeatures, rows: Any) -> Any:
        if features in [plan.problem.data.features for plan in plans]:
            shown.update(map(int, rows))
        return whole(features, rows)

    monkeypatch.setattr(ArrayFeatures, "read", read)
    found = []
    for number, plan in enumerate(plans):
        shown.clear()
        found.append(outcomes(sweeping.sweep(plan, tmp_path / f"x{number}")))
        test = set(plan.problem.data.rows[plan.problem.parts.split.test].tolist())
        assert len(test) == 10 and len(shown) == 30 and not shown & test
    assert found[0] == found[1]


def test_with_several_members_every_clip_but_the_test_clips_validates(
    store: FeatureStore, tmp_path: Path
) -> None:
    base = replace(BASE, train=replace(BASE.train, members=4))
    swept = sweeping.sweep(make_plan(store, LOGISTIC, base), tmp_path / "x")
    assert swept.members == 4
    assert swept.parts["validation"] == 40 - swept.parts["test"] > 0


def test_too_few_groups_for_the_members_are_an_error_before_anything_is_written(
    tmp_path: Path,
) -> None:
    store = make_store(tmp_path / "s", people=4)
    base = replace(BASE, train=replace(BASE.train, members=30))
    with pytest.raises(DatasetError):
        sweeping.sweep(make_plan(store, LOGISTIC, base), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_two_processes_do_not_work_in_one_folder(
    store: FeatureStore, tmp_path: Path, quick: list[Recipe]
) -> None:
    plan = make_plan(store, LOGISTIC)
    (tmp_path / "x").mkdir()
    with (
        FileLock(tmp_path / "x" / trials.LOCK),
        pytest.raises(UsageError, match="another process is at work in"),
    ):
        sweeping.sweep(plan, tmp_path / "x")
    assert sweeping.sweep(plan, tmp_path / "x").trials == 3


def test_a_folder_of_something_else_is_left_alone(
    store: FeatureStore, tmp_path: Path, quick: list[Recipe]
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "model.json").write_text("{}")
    with pytest.raises(UsageError, match="is there already and is no sweep"):
        sweeping.sweep(make_plan(store, LOGISTIC), tmp_path / "x")
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["model.json"]


@pytest.mark.parametrize("name", [sweep_files.NAME, trials.NAME])
def test_a_damaged_file_is_named(
    name: str, store: FeatureStore, tmp_path: Path, quick: list[Recipe]
) -> None:
    plan = make_plan(store, LOGISTIC)
    sweeping.sweep(plan, tmp_path / "x")
    (tmp_path / "x" / name).write_bytes(b"\x00damaged" * 1000)
    with pytest.raises(RunError, match=rf"{name} cannot be read"):
        sweeping.sweep(plan, tmp_path / "x")


def test_a_folder_may_be_called_anything(
    store: FeatureStore, tmp_path: Path, quick: list[Recipe]
) -> None:
    folder = tmp_path / "50% of {x}? #1 'ä'"
    assert sweeping.sweep(make_plan(store, LOGISTIC), folder).trials == 3
    assert (folder / trials.NAME).exists()


def test_the_same_search_has_the_same_folder_by_default_and_another_one_another(
    store: FeatureStore,
) -> None:
    plan = make_plan(store, LOGISTIC)
    assert plan.default_folder == make_plan(store, LOGISTIC).default_folder
    assert plan.default_folder.parent == Path("sweeps")
    assert plan.default_folder != make_plan(store, LOGISTIC, seeds=3).default_folder


def test_the_best_are_told_to_be_too_good_and_too_close(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def validate(pairs: object, recipe: Recipe) -> trials.Round:
        merit = {"features": 0.80, "delta": 0.79, "both": 0.4}[recipe.model.inputs]
        return trials.Round(merit + 0.05 * recipe.train.seed, 0.1, 0.0)

    monkeypatch.setattr(sweeping, "validate", validate)
    swept = sweeping.sweep(make_plan(store, LOGISTIC), tmp_path / "x")
    assert "The best of 3 validation AUCs is too good" in swept.warnings[0]
    assert swept.warnings[1].startswith("1 of the other 2 settings are as near to the best")
    single = sweeping.sweep(make_plan(store, LOGISTIC, seeds=1), tmp_path / "y")
    assert "One seed does not tell luck from merit" in single.warnings[1]


def test_what_is_left_behind_says_what_was_searched_and_found(
    store: FeatureStore, tmp_path: Path, quick: list[Recipe]
) -> None:
    texts = {**DRAWN, "units": ["8,4", "16"]}
    plan = make_plan(store, texts, strategy="random", trials=6)
    swept = sweeping.sweep(plan, tmp_path / "x")
    names = {path.name for path in (tmp_path / "x").iterdir()}
    assert names - {trials.LOCK} == {
        "README.md", "sweep.json", "sweep.png", "trials.csv", "trials.db",
    }  # fmt: skip
    values = json.loads((tmp_path / "x" / "sweep.json").read_text())
    assert values["identity"]["search"]["units"] == "8,4 or 16"
    assert values["identity"]["clips"]["fake"] == 20
    best = max(table(tmp_path / "x"), key=lambda row: float(row["auc"]))
    assert float(best["auc"]) == swept.ranked[0].mean
    each = [float(best[f"auc_seed_{seed}"]) for seed in (0, 1)]
    assert float(best["auc"]) == pytest.approx(np.mean(each))
    assert (tmp_path / "x" / "README.md").read_text().count("\n|") == len(swept.ranked) + 2
    assert (tmp_path / "x" / "sweep.png").read_bytes().startswith(b"\x89PNG")
