from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calling import deepseq
from records import make_record, make_store, write_store

from deepfake_seq.config import DecisionConfig, ModelConfig, SplitConfig, TrainConfig
from deepfake_seq.errors import UsageError
from deepfake_seq.sequence.cross_validation import CONTENDERS, rounds, save, study
from deepfake_seq.sequence.experiment import Experiment, load_experiment
from deepfake_seq.sequence.training.ensemble import ExperimentConfig

RECIPE = ExperimentConfig(ModelConfig("logistic"), TrainConfig(epochs=3, members=2))


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return load_experiment(
        make_store(tmp_path_factory.mktemp("s") / "clips", shift=0.2), SplitConfig()
    )


def test_with_folds_every_clip_is_tested_once_a_seed_on_a_model_that_met_nobody_in_it(
    experiment: Experiment,
) -> None:
    tested = []
    for own in rounds(experiment.data, RECIPE, folds=4, seeds=2):
        people = {group for clip in own.test.clips for group in clip.groups}
        validated: list[str] = []
        for training, validation in own.pairs:
            assert not people & {g for part in (training, validation) for g in sum(part.groups, ())}
            assert not set(sum(training.groups, ())) & set(sum(validation.groups, ()))
            validated += [clip.video_id for clip in validation.clips]
        assert len(validated) == len(set(validated)) == 40 - len(own.test)
        tested += [(own.seed, clip.video_id) for clip in own.test.clips]
    assert len(tested) == len(set(tested)) == 80


def test_without_folds_each_seed_deals_out_other_test_clips(experiment: Experiment) -> None:
    tests = [
        frozenset(clip.video_id for clip in own.test.clips)
        for own in rounds(experiment.data, RECIPE, folds=0, seeds=3)
    ]
    assert len(tests) == len(set(tests)) == 3


def test_a_study_says_how_well_each_model_does_and_how_much_of_it_is_luck(
    experiment: Experiment, tmp_path: Path
) -> None:
    told: list[str] = []
    found = study(experiment, [RECIPE], folds=4, seeds=2, on_training=told.append)
    assert told == ["logistic"] * 8
    save(tmp_path / "study", found)
    values = json.loads((tmp_path / "study" / "study.json").read_text())
    assert values["models"].keys() == {"logistic", "majority", "mean_pool_logistic"}
    own = values["models"]["logistic"]
    assert own["rounds"] == 8 and own["mean"]["auc"] > 0.7
    pooled = own["pooled"]
    assert pooled["clips"] == {"real": 20, "fake": 20}
    assert pooled["interval"][0] <= pooled["auc"] <= pooled["interval"][1]
    assert own["sd"]["ece"] > 0
    assert pooled["macro_f1"] <= pooled["best_macro_f1"]
    majority = values["models"]["majority"]
    assert majority["mean"]["balanced_accuracy"] == 0.5 and majority["mean"]["auc"] == 0.5
    card = (tmp_path / "study" / "README.md").read_text()
    assert "| logistic | 8 |" in card and "Only 40 clips" in card
    lines = (tmp_path / "study" / "scores.csv").read_text().splitlines()
    assert len(lines) == 1 + 3 * 80


def test_pooled_decisions_are_those_of_each_rounds_own_threshold(experiment: Experiment) -> None:
    found = study(experiment, [RECIPE], folds=4, seeds=1)
    from sklearn.metrics import f1_score

    own = found.outcomes["logistic"]
    calls = np.concatenate([one.scores >= one.threshold for one in own])
    labels = np.concatenate([one.labels for one in own])
    told = found.summary["models"]["logistic"]["pooled"]["macro_f1"]
    assert told == pytest.approx(f1_score(labels, calls, average="macro"))


def test_a_study_tells_what_a_fit_would_tell(tmp_path: Path) -> None:
    records = (
        make_record(
            f"{n:03}.mp4",
            seed=n,
            label=n % 2,
            groups=(f"id{n % 7}",),
            split="train" if n < 24 else "validation" if n < 32 else "test",
            facts={"dataset": "celeb-df-v2", "frames_sampled": 16},
        )
        for n in range(40)
    )
    leaking = load_experiment(write_store(tmp_path / "s", records), SplitConfig())
    train = TrainConfig(balance=("alpha", "weights"), members=1)
    recipe = replace(RECIPE, train=train, decision=DecisionConfig(target_fpr=0.001))
    told = " ".join(study(leaking, [recipe], folds=0, seeds=2).warnings)
    assert "shares 7 identities" in told and "2 times over" in told and "cannot support" in told
    assert "identities" not in " ".join(study(leaking, [recipe], folds=2, seeds=1).warnings)


def test_a_study_by_folds_is_refused_for_its_folds_not_for_a_split_that_it_does_not_use(
    tmp_path: Path,
) -> None:
    records = [make_record(f"{n}.mp4", seed=n, label=n % 2, groups=("ann",)) for n in range(8)]
    store = write_store(tmp_path / "s", records)
    result = deepseq("fit", "--features", store.path, "--out", tmp_path / "x", "--folds", 3)
    assert result.exit_code == 1
    assert "cannot be split into 3 folds" in result.stderr and "validation" not in result.stderr


def test_a_study_without_test_clips_is_refused(experiment: Experiment) -> None:
    recipe = replace(RECIPE, split=SplitConfig(test=0.0))
    with pytest.raises(UsageError, match="needs test clips"):
        study(experiment, [recipe], folds=0, seeds=1)


def test_all_models_and_the_shuffled_control_are_compared() -> None:
    titles = [config.title for config in CONTENDERS]
    assert titles == ["gru", "bigru", "lstm", "dense", "attention", "logistic", "gru-shuffled"]


def test_only_a_model_that_uses_the_order_of_frames_loses_by_their_shuffling(
    tmp_path: Path,
) -> None:
    # Fakes rise and real clips fall; every frame by itself is the same in both.

    from deepfake_seq.sequence.training.ensemble import fit_ensemble

    def clip(number: int):  # type: ignore[no-untyped-def]
        record = make_record(
            f"{number:03}.mp4", seed=number, label=number % 2, groups=(f"p{number}",)
        )
        slope = np.linspace(-3, 3, 16)[:, None] * (1 if number % 2 else -1)
        record.features[:] = (0.3 * record.features + slope).astype(np.float16)
        return record

    store = write_store(tmp_path / "s", map(clip, range(120)))
    experiment = load_experiment(store, SplitConfig())
    split = experiment.parts.split
    data = experiment.data
    pair = [(data.take(split.train), data.take(split.validation))]
    train = TrainConfig(epochs=25, learning_rate=1e-2, members=1)
    accuracy = {}
    for shuffled in (False, True):
        ensemble = fit_ensemble(
            pair, ExperimentConfig(ModelConfig("gru", shuffle_frames=shuffled), train)
        )
        test = data.take(split.test)
        calls = ensemble.scores(test) >= ensemble.decision.threshold
        accuracy[shuffled] = (calls == test.labels).mean()
    assert accuracy[False] > 0.9 and accuracy[True] < 0.75
