"""Few or no fakes: training uses self-blended fakes, and unknown metrics are reported as such."""

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
LOUD = "NO FAKES IN VALIDATION"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return real_store(tmp_path_factory.mktemp("real") / "store", count=120)


@pytest.fixture(scope="module")
def fitted(store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    folder = tmp_path_factory.mktemp("runs") / "gru"
    return fit(load_experiment(store, SplitConfig()), folder, QUICK)


def unseen_clips(count: int = 40) -> list[FeatureRecord]:
    """Return clips of people that are in no run, half of them fake."""
    return [
        make_record(
            f"new/{n}.mp4", seed=9000 + n, shift=float(n % 2), label=n % 2, groups=(f"x{n}",)
        )
        for n in range(count)
    ]


@pytest.mark.slow
def test_a_model_trained_on_self_blended_fakes_detects_other_fakes(
    fitted: FitResult, tmp_path: Path
) -> None:
    new = write_store(tmp_path / "new", unseen_clips())
    result = deepseq("evaluate", fitted.folder, "--features", new.path, "--json")
    assert result.exit_code == 0, result.stderr
    values = json.loads(result.stdout)
    assert values["unseen"]["auc"] > 0.9
    assert any(LOUD in warning for warning in fitted.warnings)


def test_the_threshold_is_chosen_on_real_validation_clips_alone(fitted: FitResult) -> None:
    decision = run.load(fitted.folder).decision
    assert decision.rule == "fpr" and decision.clips == {"real": 24, "fake": 0}
    assert decision.validation_fpr <= 0.05 and decision.supported
    assert decision.band == (decision.threshold,) * 2 and not decision.is_doubtful(0.5)
    assert fitted.decision == (
        "set for a false-positive rate of 5.0% on 24 real validation clips, without any fakes"
    )


def test_without_fake_validation_clips_the_last_of_all_epochs_is_kept(
    fitted: FitResult,
) -> None:
    (rows,) = read_histories(fitted.folder)
    assert len(rows) == EPOCHS and all(np.isnan(row["val_auc"]) for row in rows)
    assert run.describe(fitted.folder).training.best_epochs == (EPOCHS,)
    assert any(f"all {EPOCHS} epochs" in warning for warning in fitted.warnings)


def test_undefined_metrics_are_null_and_the_model_card_says_why(
    fitted: FitResult, store: FeatureStore
) -> None:
    for split_name in ("validation", "test"):
        metrics = fitted.metrics[split_name]
        assert metrics["auc"] is None and metrics["macro_f1"] is None
        assert metrics["accuracy"] is not None and metrics["clips"]["fake"] == 0
    card = (fitted.folder / "README.md").read_text()
    assert LOUD in card and "No abstention band: without fakes" in card
    result = deepseq("evaluate", fitted.folder, "--features", store.path)
    assert result.exit_code == 0 and LOUD in result.stderr
    page = (fitted.folder / "report.html").read_text()
    assert LOUD in page and "without any fakes" in page
    assert deepseq("compare", fitted.folder, fitted.folder).exit_code == 0


def test_the_command_prints_the_warning_and_dashes(store: FeatureStore, tmp_path: Path) -> None:
    options = ("--epochs", 1, "--members", 2, "--out", tmp_path / "x")
    result = deepseq("fit", "--features", store.path, *options)
    assert result.exit_code == 0, result.stderr
    assert LOUD in result.stderr
    assert "96 for training only (0 real, 96 fake)" in result.stdout
    assert ["validation:", "gru", "96", "+", "0", "–"] in [
        line.split()[:6] for line in result.stdout.splitlines()
    ]


def test_several_members_validate_on_real_clips_alone(store: FeatureStore, tmp_path: Path) -> None:
    config = replace(QUICK, model=ModelConfig("logistic"), train=TrainConfig(members=2))
    result = fit(load_experiment(store, SplitConfig()), tmp_path / "x", config)
    assert result.members == 2
    assert result.split["validation"] == result.split["train"] == 96
    assert run.load(tmp_path / "x").decision.clips == {"real": 96, "fake": 0}
    assert result.metrics["test"]["confusion"]["real_called_fake"] <= 4


def test_fakes_made_from_validation_clips_have_no_effect(tmp_path: Path) -> None:
    def records(of_all: bool) -> Any:
        for number, clip in enumerate(clips(40, fakes=False)):
            split = "train" if number < 24 else "validation" if number < 32 else "test"
            clip = replace(clip, split=split, groups=())
            if split == "train" or of_all:
                yield view_of(clip, "blend")
            yield clip

    models = []
    for of_all in (False, True):
        store = write_store(tmp_path / f"s{of_all}" / "store", records(of_all))
        folder = tmp_path / f"run{of_all}"
        config = replace(QUICK, train=replace(QUICK.train, epochs=2))
        fit(load_experiment(store, SplitConfig()), folder, config)
        model = run.load(folder)
        models.append((model.calibration, model.decision, (folder / run.WEIGHTS).read_bytes()))
    assert models[0] == models[1]


def test_fakes_made_from_test_clips_do_not_replace_missing_training_fakes(
    tmp_path: Path,
) -> None:
    def records() -> Any:
        for number, clip in enumerate(clips(40, fakes=False)):
            split = "train" if number < 24 else "validation" if number < 32 else "test"
            clip = replace(clip, split=split, groups=())
            if split == "test":
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


def test_a_single_class_without_pseudo_fakes_is_refused(tmp_path: Path) -> None:
    store = write_store(tmp_path / "s", clips(fakes=False))
    with pytest.raises(DatasetError, match=r"needs both real and fake clips.* 40 real and 0 fake"):
        load_experiment(store, SplitConfig())


def test_a_sweep_without_fakes_is_refused(store: FeatureStore, tmp_path: Path) -> None:
    plan = make_plan(store, {"model": ["logistic"], "inputs": ["features,both"]})
    with pytest.raises(DatasetError, match="ranking needs real and fake validation clips"):
        sweep.sweep(plan, tmp_path / "x")


def test_a_study_without_fakes_has_dashes(store: FeatureStore, tmp_path: Path) -> None:
    config = replace(QUICK, model=ModelConfig("logistic"))
    for folds in (0, 2):
        result = study(load_experiment(store, SplitConfig()), [config], folds=folds, seeds=1)
        logistic = result.summary["models"]["logistic"]
        assert logistic["mean"]["auc"] is None and logistic["pooled"]["auc"] is None
        assert any(LOUD in warning for warning in result.warnings)
        save(tmp_path / f"study{folds}", result)
        assert "| – ± –" in (tmp_path / f"study{folds}" / "README.md").read_text()


def test_calibration_uses_the_training_rows_that_a_member_reports(store: FeatureStore) -> None:
    data = load(store)
    pair = (data.take(np.arange(80)), data.take(np.arange(80, 120)))
    real_only = [(without_views(pair[0]), pair[1])]
    expected = fit_ensemble([pair], replace(QUICK, model=ModelConfig("logistic")))
    (member,) = expected.members

    def train_member(training: SequenceData, validation: SequenceData, seed: int) -> TrainedNetwork:
        return replace(member, on_training=on_training)

    rows = pair[0].with_views()
    logits = np.concatenate([member.network.logits(batch) for batch in rows.batches()])
    on_training = (rows.labels, logits)
    assert fit_ensemble(real_only, QUICK, train_member).calibration == expected.calibration
    with pytest.raises(DatasetError, match=r"calibration needs both classes.* 80 real and 0 fake"):
        fit_ensemble(real_only, QUICK, lambda *_: member)


def without_views(data: SequenceData) -> SequenceData:
    return replace(data, clips=tuple(replace(clip, views=()) for clip in data.clips))


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=80),
    st.floats(0.01, 0.4),
    st.sampled_from(["fpr", "balanced"]),
)
def test_the_false_positive_rate_is_met_without_any_fake(
    scores: list[float], target: float, rule: str
) -> None:
    reals = np.array(scores)
    decision = decide(np.zeros(len(reals), np.int64), reals, DecisionConfig(rule, target))
    assert (reals >= decision.threshold).mean() == decision.validation_fpr <= target
    assert decision.band == (decision.threshold,) * 2 and not decision.knows_fakes
    assert "without any fake" in decision.basis and LOUD in decision.warnings[0]
    assert decision.supported == (len(reals) >= 1 / target)
    assert decision.supported or "Too few real" in decision.warnings[1]
    assert decision.supported or (reals < decision.threshold).all()
