from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from children import PATHS, SUPPORT
from filelock import FileLock
from records import make_record, make_store, write_store
from sweeping import BASE, made_up, make_plan, outcomes

from deepfake_seq.config import TrainConfig
from deepfake_seq.errors import DatasetError, RunError, TrainingError, UsageError
from deepfake_seq.sequence.data.features import ArrayFeatures
from deepfake_seq.sequence.sweep import files, trials
from deepfake_seq.sequence.sweep import sweep as sweeping
from deepfake_seq.sequence.training.ensemble import ExperimentConfig
from deepfake_seq.store import FeatureRecord, FeatureStore

LOGISTIC = {"model": ["logistic"], "inputs": ["features,delta,both"]}
DRAWN = {"model": ["gru,logistic"], "learning_rate": ["1e-4:1e-2"], "gamma": ["0:3"]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return make_store(tmp_path_factory.mktemp("stores") / "store", shift=0.2)


class Training:
    """Records the requested trainings instead of training.

    Args:
        auc: Returns the validation AUC of a config; by default a hash of the config.
    """

    def __init__(self, auc: Callable[[ExperimentConfig], float] | None = None) -> None:
        self.requested: list[ExperimentConfig] = []
        self._auc = auc

    def __call__(self, pairs: object, config: ExperimentConfig) -> dict[str, float]:
        self.requested.append(config)
        values = made_up(pairs, config)
        return {**values, "auc": self._auc(config)} if self._auc else values


@pytest.fixture
def training() -> Training:
    return Training()


def search(plan: sweeping.Plan, folder: Path, training: Training) -> sweeping.SweepResult:
    return sweeping.sweep(plan, folder, validate=training)


def aucs(result: sweeping.SweepResult) -> list[float]:
    return [trial.user_attrs["auc"] for trial in result.ranked]


def inputs(trials: list[Any]) -> list[str]:
    return [trial.user_attrs["setting"]["inputs"] for trial in trials]


def recording(counts_seen: list[tuple[int, ...]]) -> Callable[..., AbstractContextManager[Any]]:
    """Make a progress function that appends its counts to `counts_seen`."""

    def progress(*counts: int) -> AbstractContextManager[Any]:
        counts_seen.append(counts)
        return nullcontext(lambda note: None)

    return progress


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / files.TRIALS).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_grid_tries_every_setting_with_every_seed(
    store: FeatureStore, tmp_path: Path, training: Training
) -> None:
    texts = {"model": ["gru,dense"], "learning_rate": ["1e-4,1e-3"], "dropout": ["0,0.5"]}
    swept = search(make_plan(store, texts, seeds=3), tmp_path / "x", training)
    tried = {
        (config.model.name, config.train.learning_rate, config.model.dropout, config.train.seed)
        for config in training.requested
    }
    assert len(tried) == len(training.requested) == 2 * 2 * 2 * 3
    assert len(swept.ranked) == len(table(tmp_path / "x")) == 8
    assert aucs(swept) == sorted(aucs(swept), reverse=True)
    assert all(trial.user_attrs["auc_sd"] > 0 for trial in swept.ranked)


def test_a_setting_is_ranked_by_its_mean_over_seeds(store: FeatureStore, tmp_path: Path) -> None:
    def auc(config: ExperimentConfig) -> float:
        lucky = config.model.inputs == "delta" and config.train.seed == 0
        steady = 0.8 if config.model.inputs == "both" else 0.6
        return 0.99 if lucky else steady

    swept = search(make_plan(store, LOGISTIC, seeds=4), tmp_path / "x", Training(auc))
    assert inputs(swept.ranked) == ["both", "delta", "features"]
    assert swept.best.train.seed == 0, "the first seed, not the best one"


def test_equal_aucs_are_ranked_by_brier_score_then_by_trial(
    store: FeatureStore, tmp_path: Path
) -> None:
    brier = {"features": 0.2, "delta": 0.1, "both": 0.2}
    swept = sweeping.sweep(
        make_plan(store, LOGISTIC),
        tmp_path / "x",
        validate=lambda _, config: {"auc": 0.9, "brier": brier[config.model.inputs], "seconds": 0},
    )
    assert inputs(swept.ranked) == ["delta", "features", "both"]


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "count"), [("random", 4), ("tpe", 13)])
def test_sampled_settings_depend_only_on_the_seed(
    strategy: str, count: int, store: FeatureStore, tmp_path: Path, training: Training
) -> None:
    drawn = {}
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        base = replace(BASE, train=replace(BASE.train, seed=seed))
        plan = make_plan(store, DRAWN, base, strategy=strategy, trials=count, seeds=1)
        swept = search(plan, tmp_path / name, training)
        drawn[name] = sorted(outcomes(swept), key=lambda outcome: int(outcome[0]))
    assert drawn["one"] == drawn["two"] != drawn["other"]


@pytest.mark.parametrize(("strategy", "counts"), [("random", (2, 5)), ("tpe", (3, 11, 14))])
@pytest.mark.slow
def test_a_longer_sweep_continues_a_shorter_one(
    strategy: str,
    counts: tuple[int, ...],
    store: FeatureStore,
    tmp_path: Path,
    training: Training,
) -> None:
    for trial_count in counts:
        plan = make_plan(store, DRAWN, strategy=strategy, trials=trial_count, seeds=1)
        continued = search(plan, tmp_path / "continued", training)
    assert outcomes(continued) == outcomes(search(plan, tmp_path / "once", training))


def test_a_repeated_setting_is_not_trained_again(
    store: FeatureStore, tmp_path: Path, training: Training
) -> None:
    plan = make_plan(store, LOGISTIC, strategy="random", trials=12)
    swept = search(plan, tmp_path / "x", training)
    assert len(training.requested) == len(set(training.requested)) <= 3 * 2
    assert swept.trials == len(table(tmp_path / "x")) == 12
    assert len(swept.ranked) == len(training.requested) / 2


def test_a_complete_sweep_trains_nothing(
    store: FeatureStore, tmp_path: Path, training: Training
) -> None:
    plan = make_plan(store, LOGISTIC)
    first = search(plan, tmp_path / "x", training)
    trained = len(training.requested)
    counts_seen: list[tuple[int, ...]] = []
    again = sweeping.sweep(plan, tmp_path / "x", recording(counts_seen), training)
    assert counts_seen == [(3, 3, 0)] and len(training.requested) == trained
    assert outcomes(again) == outcomes(first)


def test_an_interruption_loses_only_the_current_training(
    store: FeatureStore, tmp_path: Path
) -> None:
    def auc(config: ExperimentConfig) -> float:
        if len(training.requested) == 4:
            raise KeyboardInterrupt
        return 0.01 * config.train.seed

    training = Training(auc)
    plan = make_plan(store, LOGISTIC)
    with pytest.raises(KeyboardInterrupt):
        search(plan, tmp_path / "x", training)
    assert len(table(tmp_path / "x")) == 1, "of the second trial, one seed was done"
    swept = search(plan, tmp_path / "x", training)
    assert len(training.requested) == 3 * 2 + 1 and len(set(training.requested)) == 6
    assert outcomes(swept) == outcomes(search(plan, tmp_path / "whole", training))


def crash(folder: Path, step: int) -> int:
    """Run a small sweep that is killed repeatedly; return the number of kills."""
    result = subprocess.run(
        [sys.executable, SUPPORT / "crashing_sweep.py", folder, str(step)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*PATHS, *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


@pytest.mark.slow
def test_a_sweep_killed_at_any_moment_has_the_same_result(tmp_path: Path) -> None:
    assert crash(tmp_path, step=97) >= 2


@pytest.mark.slow
def test_a_sweep_killed_at_many_moments_has_the_same_result(tmp_path: Path) -> None:
    assert crash(tmp_path, step=5) > 30


@pytest.mark.slow
def test_a_sweep_killed_during_training_is_resumed(store: FeatureStore, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path[:0] = {PATHS}\n"
        "from contextlib import nullcontext; from pathlib import Path; import sweeping as s\n"
        "from deepfake_seq.store import FeatureStore\n"
        "notes = []\n"
        "def note(text):\n"
        "    notes.append(text)\n"
        "    if len(notes) == 12:\n"
        "        print('in the second trial', flush=True); sys.stdin.read()\n"
        f"plan = s.make_plan(FeatureStore.open({str(store.path)!r}), {LOGISTIC!r}, seeds=9)\n"
        f"s.sweeping.sweep(plan, Path({str(tmp_path / 'x')!r}), lambda *_: nullcontext(note))"
    )
    pipe = subprocess.PIPE
    child = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True)
    try:
        assert child.stdout and child.stdout.readline() == "in the second trial\n"
    finally:
        child.kill()
        child.communicate()
    plan = make_plan(store, LOGISTIC, seeds=9)
    counts_seen: list[tuple[int, ...]] = []
    swept = sweeping.sweep(plan, tmp_path / "x", recording(counts_seen))
    assert counts_seen[0][:2] == (1, 3)
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
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_search_in_the_same_folder_is_refused_with_the_differences(
    changes: dict[str, Any], message: str, store: FeatureStore, tmp_path: Path, training: Training
) -> None:
    search(make_plan(store, LOGISTIC), tmp_path / "x", training)
    trained = len(training.requested)
    changes = {"texts": LOGISTIC, **changes}
    with pytest.raises(UsageError, match=rf"x contains a different sweep: .*{message}"):
        search(make_plan(store, **changes), tmp_path / "x", training)
    assert len(training.requested) == trained


def test_other_clips_are_refused_even_if_their_number_is_equal(
    store: FeatureStore, tmp_path: Path, training: Training
) -> None:
    search(make_plan(store, LOGISTIC), tmp_path / "x", training)
    more = make_store(tmp_path / "more", clips=42)
    with pytest.raises(UsageError, match=r"clips.fake is 20 there, 21 here.*Give another --out"):
        search(make_plan(more, LOGISTIC), tmp_path / "x", training)
    named = (
        make_record(f"{n:03}.mp4", seed=n, label=n % 2, groups=(f"other{n % 20}",))
        for n in range(40)
    )
    other = write_store(tmp_path / "other", named)
    with pytest.raises(UsageError, match=r"clips.digest is \w+ there, \w+ here"):
        search(make_plan(other, LOGISTIC), tmp_path / "x", training)


def test_a_diverging_setting_is_recorded_as_failed_and_the_sweep_continues(
    store: FeatureStore, tmp_path: Path
) -> None:
    def auc(config: ExperimentConfig) -> float:
        if config.model.inputs == "delta" and config.train.seed == 1:
            raise TrainingError("training logistic diverged in epoch 3")
        return 0.9

    training = Training(auc)
    plan = make_plan(store, LOGISTIC, strategy="random", trials=12, seeds=3)
    swept = search(plan, tmp_path / "x", training)
    assert inputs(swept.failed) == ["delta"]
    assert set(inputs(swept.ranked)) == {"features", "both"}
    rows = {row["inputs"]: row for row in table(tmp_path / "x")}
    assert rows["delta"]["failed"] == "with seed 1: training logistic diverged in epoch 3"
    assert rows["delta"]["auc"] == "" and rows["both"]["failed"] == ""
    assert rows["delta"]["auc_seed_0"] == "0.9" and rows["delta"]["auc_seed_1"] == ""
    assert len(training.requested) == len(set(training.requested)) == 3 + 2 + 3, (
        "each was tried once"
    )
    again = search(plan, tmp_path / "x", training)
    assert outcomes(again) == outcomes(swept) and len(training.requested) == 8


def test_a_sweep_without_a_trainable_setting_gives_the_reason(
    store: FeatureStore, tmp_path: Path
) -> None:
    def auc(config: ExperimentConfig) -> float:
        raise TrainingError("training gru diverged in epoch 1")

    with pytest.raises(TrainingError, match=r"none of 3 settings .* with seed 0: training gru"):
        search(make_plan(store, LOGISTIC), tmp_path / "x", Training(auc))


def records(turned: bool) -> Iterator[FeatureRecord]:
    for n in range(40):
        split = "train" if n < 20 else "validation" if n < 30 else "test"
        label = n % 2 if split != "test" or not turned else 1 - n % 2
        yield make_record(f"{n:02}.mp4", seed=n, shift=0.4 * (n % 2), label=label, split=split)


def test_test_clips_are_never_read_and_their_labels_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = [
        make_plan(
            write_store(tmp_path / f"s{turned}", records(turned)),
            {"model": ["gru,logistic"], "units": ["3"]},
        )
        for turned in (False, True)
    ]
    rows_read: set[int] = set()
    whole = ArrayFeatures.read

    def read(features: ArrayFeatures, rows: Any) -> Any:
        if features in [plan.experiment.data.features for plan in plans]:
            rows_read.update(map(int, rows))
        return whole(features, rows)

    monkeypatch.setattr(ArrayFeatures, "read", read)
    results = []
    for number, plan in enumerate(plans):
        rows_read.clear()
        results.append(outcomes(sweeping.sweep(plan, tmp_path / f"x{number}")))
        test = set(plan.experiment.data.rows[plan.experiment.split.positions.test].tolist())
        assert len(test) == 10 and len(rows_read) == 30 and not rows_read & test
    assert results[0] == results[1]


def test_with_several_members_all_clips_but_the_test_clips_are_validation_clips(
    store: FeatureStore, tmp_path: Path, training: Training
) -> None:
    base = replace(BASE, train=replace(BASE.train, members=4))
    swept = search(make_plan(store, LOGISTIC, base), tmp_path / "x", training)
    assert swept.members == 4
    assert swept.splits["validation"] == 40 - swept.splits["test"] > 0


def test_too_few_groups_for_the_members_fail_before_anything_is_written(
    tmp_path: Path, training: Training
) -> None:
    store = make_store(tmp_path / "s", people=4)
    base = replace(BASE, train=replace(BASE.train, members=30))
    with pytest.raises(DatasetError):
        search(make_plan(store, LOGISTIC, base), tmp_path / "x", training)
    assert not (tmp_path / "x").exists()


def test_the_folder_is_locked_against_another_process(
    store: FeatureStore, tmp_path: Path, training: Training
) -> None:
    plan = make_plan(store, LOGISTIC)
    (tmp_path / "x").mkdir()
    with (
        FileLock(tmp_path / "x" / trials.LOCK),
        pytest.raises(UsageError, match="another process is using"),
    ):
        search(plan, tmp_path / "x", training)
    assert search(plan, tmp_path / "x", training).trials == 3


def test_a_folder_with_other_contents_is_refused(
    store: FeatureStore, tmp_path: Path, training: Training
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "model.json").write_text("{}")
    with pytest.raises(UsageError, match="already exists and is not a sweep"):
        search(make_plan(store, LOGISTIC), tmp_path / "x", training)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["model.json"]


def test_a_sweep_of_the_previous_format_is_refused(
    store: FeatureStore, tmp_path: Path, training: Training
) -> None:
    plan = make_plan(store, LOGISTIC)
    search(plan, tmp_path / "x", training)
    path = tmp_path / "x" / files.NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 1}))
    with pytest.raises(RunError, match=r"another version of deepseq.*Received: .*deepseq-sweep 1"):
        search(plan, tmp_path / "x", training)


@pytest.mark.parametrize("name", [files.NAME, trials.NAME])
def test_a_damaged_file_is_named(
    name: str, store: FeatureStore, tmp_path: Path, training: Training
) -> None:
    plan = make_plan(store, LOGISTIC)
    search(plan, tmp_path / "x", training)
    (tmp_path / "x" / name).write_bytes(b"\x00damaged" * 1000)
    with pytest.raises(RunError, match=rf"{name} cannot be read"):
        search(plan, tmp_path / "x", training)


def test_the_folder_may_have_any_name(
    store: FeatureStore, tmp_path: Path, training: Training
) -> None:
    folder = tmp_path / "50% of {x}? #1 'ä'"
    assert search(make_plan(store, LOGISTIC), folder, training).trials == 3
    assert (folder / trials.NAME).exists()


def test_the_default_folder_depends_on_the_search(
    store: FeatureStore,
) -> None:
    plan = make_plan(store, LOGISTIC)
    assert plan.default_folder == make_plan(store, LOGISTIC).default_folder
    assert plan.default_folder.parent == Path("sweeps")
    assert plan.default_folder != make_plan(store, LOGISTIC, seeds=3).default_folder


def test_warnings_describe_the_limits_of_the_ranking(store: FeatureStore, tmp_path: Path) -> None:
    def auc(config: ExperimentConfig) -> float:
        merit = {"features": 0.80, "delta": 0.79, "both": 0.4}[config.model.inputs]
        return merit + 0.05 * config.train.seed

    swept = search(make_plan(store, LOGISTIC), tmp_path / "x", Training(auc))
    assert "The best of 3 validation AUCs is too optimistic" in swept.warnings[0]
    assert swept.warnings[1].startswith("1 of the other 2 settings are within one standard")
    single = search(make_plan(store, LOGISTIC, seeds=1), tmp_path / "y", Training(auc))
    assert "With one seed, a better setting cannot be distinguished" in single.warnings[1]


def test_the_files_in_the_folder_contain_the_search_and_its_results(
    store: FeatureStore, tmp_path: Path, training: Training
) -> None:
    texts = {**DRAWN, "units": ["8,4", "16"]}
    plan = make_plan(store, texts, strategy="random", trials=6)
    swept = search(plan, tmp_path / "x", training)
    names = {path.name for path in (tmp_path / "x").iterdir()}
    assert names - {trials.LOCK} == {
        "README.md", "sweep.json", "sweep.png", "trials.csv", "trials.db",
    }  # fmt: skip
    values = json.loads((tmp_path / "x" / "sweep.json").read_text())
    assert values["identity"]["search"]["units"] == "8,4 or 16"
    assert values["identity"]["clips"]["fake"] == 20
    best = max(table(tmp_path / "x"), key=lambda row: float(row["auc"]))
    assert float(best["auc"]) == aucs(swept)[0]
    each = [float(best[f"auc_seed_{seed}"]) for seed in (0, 1)]
    assert float(best["auc"]) == pytest.approx(np.mean(each))
    assert (tmp_path / "x" / "README.md").read_text().count("\n|") == len(swept.ranked) + 2
    assert (tmp_path / "x" / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_the_results_are_an_optuna_study(
    store: FeatureStore, tmp_path: Path, training: Training
) -> None:
    swept = search(make_plan(store, LOGISTIC), tmp_path / "x", training)
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'x' / trials.NAME}")
    study = optuna.load_study(study_name="sweep", storage=storage)
    assert study.best_value == aucs(swept)[0]
    assert study.best_trial.user_attrs["setting"] == swept.ranked[0].user_attrs["setting"]
    assert [trial.params for trial in study.trials] == [
        {"inputs": name} for name in ("features", "delta", "both")
    ]
    storage.engine.dispose()
