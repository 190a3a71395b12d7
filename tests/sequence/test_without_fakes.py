"""Few fakes or none: self-blended ones serve for training, and what nobody can know is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calling import deepseq
from hypothesis import given
from hypothesis import strategies as st
from records import make_record, write_store
from sweeping import make_plan
from viewing import clips, real_store, view_of, with_views

from deepfake_seq.config import DecisionConfig, ModelConfig, SplitConfig, TrainConfig
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.cross_validation import save, study
from deepfake_seq.sequence.data.dataset import SequenceData, load
from deepfake_seq.sequence.evaluation.threshold import decide
from deepfake_seq.sequence.experiment import load_experiment
from deepfake_seq.sequence.fit import fit
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.runs.history import read_histories
from deepfake_seq.sequence.runs.writer import FitResult
from deepfake_seq.sequence.sweep import sweep
from deepfake_seq.sequence.training.ensemble import ExperimentConfig, fit_ensemble
from deepfake_seq.sequence.training.train import TrainedNetwork
from deepfake_seq.store import FeatureRecord, FeatureStore

EPOCHS = 20
QUICK = ExperimentConfig(
    train=TrainConfig(epochs=EPOCHS, patience=1, learning_rate=1e-2, members=1)
)
LOUD = "THERE WERE NO FAKES TO VALIDATE BY"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return real_store(tmp_path_factory.mktemp("real") / "store", count=120)


@pytest.fixture(scope="module")
def fitted(store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    folder = tmp_path_factory.mktemp("runs") / "gru"
    return fit(load_experiment(store, SplitConfig()), folder, QUICK)


def strangers(count: int = 40) -> list[FeatureRecord]:
    """Clips of people whom no run has met, half of them fake."""
    return [
        make_record(
            f"new/{n}.mp4", seed=9000 + n, shift=float(n % 2), label=n % 2, groups=(f"x{n}",)
        )
        for n in range(count)
    ]


def test_fakes_made_from_real_clips_teach_to_tell_real_fakes(
    fitted: FitResult, tmp_path: Path
) -> None:
    new = write_store(tmp_path / "new", strangers())
    told = deepseq("evaluate", fitted.folder, "--features", new.path, "--json")
    assert told.exit_code == 0, told.stderr
    values = json.loads(told.stdout)
    assert values["unseen"]["auc"] > 0.9
    assert any(LOUD in warning for warning in fitted.warnings)


def test_the_threshold_comes_from_real_validation_clips_alone(fitted: FitResult) -> None:
    decision = run.load(fitted.folder).decision
    assert decision.rule == "fpr" and decision.clips == {"real": 24, "fake": 0}
    assert decision.validation_fpr <= 0.05 and decision.supported
    assert decision.band == (decision.threshold,) * 2 and not decision.is_doubtful(0.5)
    assert fitted.decision == (
        "set for a false-positive rate of 5.0% on 24 real validation clips, without any fake to "
        "validate by"
    )


def test_without_a_class_to_tell_apart_all_epochs_are_run_and_the_last_is_kept(
    fitted: FitResult,
) -> None:
    (rows,) = read_histories(fitted.folder)
    assert len(rows) == EPOCHS and all(np.isnan(row["val_auc"]) for row in rows)
    assert run.describe(fitted.folder).training.best_epochs == (EPOCHS,)
    assert any(f"all {EPOCHS} epochs" in warning for warning in fitted.warnings)


def test_what_is_not_known_is_a_dash_and_the_card_says_why(
    fitted: FitResult, store: FeatureStore
) -> None:
    for part in ("validation", "test"):
        own = fitted.metrics[part]
        assert own["auc"] is None and own["macro_f1"] is None and own["accuracy"] is not None
        assert own["clips"]["fake"] == 0
    card = (fitted.folder / "README.md").read_text()
    assert LOUD in card and "No abstention band: there were no fakes" in card
    told = deepseq("evaluate", fitted.folder, "--features", store.path)
    assert told.exit_code == 0 and LOUD in told.stderr
    page = (fitted.folder / "report.html").read_text()
    assert LOUD in page and "without any fake to validate by" in page
    assert deepseq("compare", fitted.folder, fitted.folder).exit_code == 0


def test_the_command_tells_it_too(store: FeatureStore, tmp_path: Path) -> None:
    told = deepseq("fit", "--features", store.path, "--epochs", 1, "--out", tmp_path / "x")
    assert told.exit_code == 0, told.stderr
    assert LOUD in told.stderr
    assert "96 for training only (0 real, 96 fake)" in told.stdout
    assert ["validation:", "gru", "96", "+", "0", "–"] in [
        line.split()[:6] for line in told.stdout.splitlines()
    ]


def test_with_several_members_each_clip_is_still_validated_by_a_stranger(
    store: FeatureStore, tmp_path: Path
) -> None:
    recipe = replace(QUICK, model=ModelConfig("logistic"), train=TrainConfig(members=5))
    result = fit(load_experiment(store, SplitConfig()), tmp_path / "x", recipe)
    assert result.members == 5
    assert result.split["validation"] == result.split["train"] == 96
    assert run.load(tmp_path / "x").decision.clips == {"real": 96, "fake": 0}
    assert result.metrics["test"]["confusion"]["real_called_fake"] <= 4


def test_fakes_made_from_validation_clips_calibrate_nothing(tmp_path: Path) -> None:
    def records(of_others: bool) -> Any:
        for number, clip in enumerate(clips(40, fakes=False)):
            part = "train" if number < 24 else "validation" if number < 32 else "test"
            clip = replace(clip, split=part, groups=())
            if part == "train" or of_others:
                yield view_of(clip, "blend")
            yield clip

    found = []
    for of_others in (False, True):
        store = write_store(tmp_path / f"s{of_others}" / "store", records(of_others))
        folder = tmp_path / f"run{of_others}"
        fit(load_experiment(store, SplitConfig()), folder, QUICK)
        model = run.load(folder)
        found.append((model.calibration, model.decision, (folder / run.WEIGHTS).read_bytes()))
    assert found[0] == found[1]


def test_fakes_made_from_test_clips_do_not_stand_in_for_those_that_training_lacks(
    tmp_path: Path,
) -> None:
    def records() -> Any:
        for number, clip in enumerate(clips(40, fakes=False)):
            part = "train" if number < 24 else "validation" if number < 32 else "test"
            clip = replace(clip, split=part, groups=())
            if part == "test":
                yield view_of(clip, "blend")
            yield clip

    with pytest.raises(DatasetError, match="training set of the given split lacks a class"):
        load_experiment(write_store(tmp_path / "s", records()), SplitConfig())


def test_few_fakes_are_kept_for_validation(tmp_path: Path) -> None:
    real = list(with_views(clips(60, fakes=False), ("blend",)))
    fakes = [
        make_record(f"fake/{n}.mp4", seed=500 + n, shift=1.0, label=1, groups=("eve",))
        for n in range(4)
    ]
    store = write_store(tmp_path / "s", [*real, *fakes])
    result = fit(load_experiment(store, SplitConfig()), tmp_path / "x", QUICK)
    assert result.metrics["validation"]["clips"]["fake"] == 4
    assert result.metrics["validation"]["auc"] > 0.9
    assert not any(LOUD in warning for warning in result.warnings)


def test_a_single_class_without_pseudo_fakes_is_refused_as_ever(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", clips(fakes=False))
    with pytest.raises(DatasetError, match=r"needs both real and fake clips.* 40 real and 0 fake"):
        load_experiment(store, SplitConfig())


def test_a_sweep_ranks_nothing_without_fakes(store: FeatureStore, tmp_path: Path) -> None:
    plan = make_plan(store, {"model": ["logistic"], "inputs": ["features,both"]})
    with pytest.raises(DatasetError, match="ranking needs real and fake validation clips"):
        sweep.sweep(plan, tmp_path / "x")


def test_a_study_without_fakes_has_dashes(store: FeatureStore, tmp_path: Path) -> None:
    recipe = replace(QUICK, model=ModelConfig("logistic"))
    for folds in (0, 3):
        found = study(load_experiment(store, SplitConfig()), [recipe], folds=folds, seeds=1)
        own = found.summary["models"]["logistic"]
        assert own["mean"]["auc"] is None and own["pooled"]["auc"] is None
        assert any(LOUD in warning for warning in found.warnings)
        save(tmp_path / f"study{folds}", found)
        assert "| – ± –" in (tmp_path / f"study{folds}" / "README.md").read_text()


def test_a_trainer_with_rows_of_its_own_brings_what_to_calibrate_by(store: FeatureStore) -> None:
    data = load(store)
    pair = (data.take(np.arange(80)), data.take(np.arange(80, 120)))
    real_only = [(replace_views(pair[0]), pair[1])]
    whole = fit_ensemble([pair], replace(QUICK, model=ModelConfig("logistic")))
    (member,) = whole.members

    def trainer(training: SequenceData, validation: SequenceData, seed: int) -> TrainedNetwork:
        return replace(member, on_training=said)

    rows = pair[0].with_views()
    said = (rows.labels, np.concatenate([member.network.logits(own) for own in rows.batches()]))
    assert fit_ensemble(real_only, QUICK, trainer).calibration == whole.calibration
    with pytest.raises(DatasetError, match=r"to calibrate by.* 80 real and 0 fake"):
        fit_ensemble(real_only, QUICK, lambda *_: member)


def replace_views(data: SequenceData) -> SequenceData:
    return replace(data, clips=tuple(replace(clip, views=()) for clip in data.clips))


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=80),
    st.floats(0.01, 0.4),
    st.sampled_from(["fpr", "balanced"]),
)
def test_the_false_positive_rate_is_kept_without_any_fake(
    scores: list[float], target: float, rule: str
) -> None:
    reals = np.array(scores)
    decision = decide(np.zeros(len(reals), np.int64), reals, DecisionConfig(rule, target))
    assert (reals >= decision.threshold).mean() == decision.validation_fpr <= target
    assert decision.band == (decision.threshold,) * 2 and not decision.knows_fakes
    assert "without any fake" in decision.basis and LOUD in decision.warnings[0]
    assert decision.supported == (len(reals) >= 1 / target)
    assert decision.supported or "cannot support" in decision.warnings[1]
    assert decision.supported or (reals < decision.threshold).all()
