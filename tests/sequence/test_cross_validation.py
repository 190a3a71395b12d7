from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calling import deepseq
from records import make_record, make_store, write_store

from deepfake_seq.config import DecisionConfig, ModelConfig, SplitConfig, TrainConfig
from deepfake_seq.errors import UsageError
from deepfake_seq.sequence.cross_validation import (
    CONTENDERS,
    ablations,
    rounds,
    save,
    study,
)
from deepfake_seq.sequence.data.features import ArrayFeatures
from deepfake_seq.sequence.experiment import Experiment, load_experiment
from deepfake_seq.sequence.training.ensemble import ExperimentConfig
from deepfake_seq.store import FeatureRecord

CONFIG = ExperimentConfig(ModelConfig("logistic"), TrainConfig(epochs=3, members=2))


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return load_experiment(
        make_store(tmp_path_factory.mktemp("s") / "clips", shift=0.2), SplitConfig()
    )


def test_with_folds_every_clip_is_tested_once_per_seed_by_a_model_trained_on_other_people(
    experiment: Experiment,
) -> None:
    tested = []
    for current in rounds(experiment.data, CONFIG, folds=4, seeds=2):
        people = {group for clip in current.test.clips for group in clip.groups}
        validated: list[str] = []
        for training, validation in current.pairs:
            assert not people & {g for data in (training, validation) for g in sum(data.groups, ())}
            assert not set(sum(training.groups, ())) & set(sum(validation.groups, ()))
            validated += [clip.video_id for clip in validation.clips]
        assert len(validated) == len(set(validated)) == 40 - len(current.test)
        tested += [(current.seed, clip.video_id) for clip in current.test.clips]
    assert len(tested) == len(set(tested)) == 80


def test_without_folds_each_seed_selects_other_test_clips(experiment: Experiment) -> None:
    tests = [
        frozenset(clip.video_id for clip in current.test.clips)
        for current in rounds(experiment.data, CONFIG, folds=0, seeds=3)
    ]
    assert len(tests) == len(set(tests)) == 3


@pytest.mark.slow
def test_a_study_reports_mean_and_spread_of_each_model(
    experiment: Experiment, tmp_path: Path
) -> None:
    trained: list[str] = []
    result = study(experiment, [CONFIG], folds=4, seeds=2, on_training=trained.append)
    assert trained == ["logistic"] * 8
    save(tmp_path / "study", result)
    values = json.loads((tmp_path / "study" / "study.json").read_text())
    assert values["models"].keys() == {"logistic", "majority", "mean_pool_logistic"}
    logistic = values["models"]["logistic"]
    assert logistic["rounds"] == 8 and logistic["mean"]["auc"] > 0.7
    pooled = logistic["pooled"]
    assert pooled["clips"] == {"real": 20, "fake": 20}
    assert pooled["interval"][0] <= pooled["auc"] <= pooled["interval"][1]
    assert logistic["sd"]["ece"] > 0
    assert pooled["macro_f1"] <= pooled["best_macro_f1"]
    majority = values["models"]["majority"]
    assert majority["mean"]["balanced_accuracy"] == 0.5 and majority["mean"]["auc"] == 0.5
    card = (tmp_path / "study" / "README.md").read_text()
    assert "| logistic | 8 |" in card and "Only 40 clips" in card
    lines = (tmp_path / "study" / "scores.csv").read_text().splitlines()
    assert len(lines) == 1 + 3 * 80


def test_pooled_decisions_use_the_threshold_of_each_round(experiment: Experiment) -> None:
    from sklearn.metrics import f1_score

    result = study(experiment, [CONFIG], folds=4, seeds=1)
    outcomes = result.outcomes["logistic"]
    predictions = np.concatenate([outcome.scores >= outcome.threshold for outcome in outcomes])
    labels = np.concatenate([outcome.labels for outcome in outcomes])
    pooled = result.summary["models"]["logistic"]["pooled"]["macro_f1"]
    assert pooled == pytest.approx(f1_score(labels, predictions, average="macro"))


def test_a_study_has_the_warnings_of_a_fit(tmp_path: Path) -> None:
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
    config = replace(CONFIG, train=train, decision=DecisionConfig(target_fpr=0.001))
    warnings = " ".join(study(leaking, [config], folds=0, seeds=2).warnings)
    assert "shares 7 identities" in warnings
    assert "corrected 2 times" in warnings and "Too few real validation clips" in warnings
    assert "identities" not in " ".join(study(leaking, [config], folds=2, seeds=1).warnings)


def test_too_few_groups_for_the_folds_are_reported_as_such(
    tmp_path: Path,
) -> None:
    records = [make_record(f"{n}.mp4", seed=n, label=n % 2, groups=("ann",)) for n in range(8)]
    store = write_store(tmp_path / "s", records)
    result = deepseq("fit", "--features", store.path, "--out", tmp_path / "x", "--folds", 3)
    assert result.exit_code == 1
    assert "cannot be split into 3 folds" in result.stderr and "validation" not in result.stderr


def test_a_study_without_test_clips_is_refused(experiment: Experiment) -> None:
    config = replace(CONFIG, split=SplitConfig(test=0.0))
    with pytest.raises(UsageError, match="needs test clips"):
        study(experiment, [config], folds=0, seeds=1)


def test_all_models_and_the_shuffled_control_are_compared() -> None:
    titles = [config.title for config in CONTENDERS]
    models = ["gru", "bigru", "lstm", "dense", "attention", "logistic", "gru-shuffled"]
    assert titles == [*models, "autoencoder"]


def test_shuffling_frames_hurts_a_model_that_uses_their_order(
    tmp_path: Path,
) -> None:
    # Features rise in fakes and fall in real clips; single frames have the same distribution.

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
    pairs = [(experiment.train, experiment.validation)]
    train = TrainConfig(epochs=25, learning_rate=1e-2, members=1)
    accuracy = {}
    for shuffled in (False, True):
        ensemble = fit_ensemble(
            pairs, ExperimentConfig(ModelConfig("gru", shuffle_frames=shuffled), train)
        )
        test = experiment.test
        predictions = ensemble.scores(test) >= ensemble.decision.threshold
        accuracy[shuffled] = (predictions == test.labels).mean()
    assert accuracy[False] > 0.9 and accuracy[True] < 0.75


def with_two_blocks(experiment: Experiment) -> Experiment:
    """Return the clips with the last two of their eight features as a block of their own."""
    data = experiment.data
    features = ArrayFeatures(*data.features.read(data.rows), {"features": 6, "depths": 2})
    return replace(experiment, data=replace(data, features=features, rows=np.arange(len(data))))


@pytest.mark.slow
def test_an_ablation_compares_all_blocks_with_all_but_one_on_the_same_folds(
    experiment: Experiment, tmp_path: Path
) -> None:
    clips = with_two_blocks(experiment)
    configs = ablations([CONFIG], tuple(clips.data.features.blocks))
    result = study(clips, configs, folds=2, seeds=1)
    names = ["logistic", "logistic without features", "logistic without depths"]
    assert list(result.outcomes)[:3] == names
    tested = [[row.video_ids for row in result.outcomes[name]] for name in names]
    assert tested[0] == tested[1] == tested[2]
    scores = [np.concatenate([row.scores for row in result.outcomes[name]]) for name in names]
    assert len({values.tobytes() for values in scores}) == 3
    assert result.summary["evidence"] == {"features": 6, "depths": 2}
    save(tmp_path / "study", result)
    assert "logistic without depths" in (tmp_path / "study" / "README.md").read_text()
    alone = replace(CONFIG, model=replace(CONFIG.model, evidence=("features",)))
    same = study(clips, [alone], folds=2, seeds=1).outcomes["logistic without depths"]
    assert np.array_equal(np.concatenate([row.scores for row in same]), scores[2])


def test_an_ablation_of_a_single_block_is_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", clips=20)
    result = deepseq("fit", "--features", store.path, "--ablate", "--model", "logistic")
    assert result.exit_code == 2
    assert "--ablate compares evidence blocks" in result.stderr


def test_each_source_is_left_out_once_with_everyone_in_it(tmp_path: Path) -> None:
    """People 0 to 9 are in `a`, 10 to 19 in `b`, except that person 3 is also in `b`."""

    def records() -> Iterator[FeatureRecord]:
        for number in range(60):
            person = number % 20
            fact = {} if number >= 50 else {"source": "a" if person < 10 else "b"}
            if number == 43:  # of person 3
                fact = {"source": "b"}
            record = make_record(
                f"{number:03}.mp4",
                seed=number,
                label=number % 2,
                shift=number % 2,
                groups=(f"person{person}",),
            )
            yield replace(record, facts={**record.facts, **fact})

    store = write_store(tmp_path / "s", records())
    data = load_experiment(store, SplitConfig()).data
    tested = {}
    for current in rounds(data, CONFIG, 0, 1, leave_out="source"):
        trained = {clip.video_id for pair in current.pairs for part in pair for clip in part.clips}
        people = {group for clip in current.test.clips for group in clip.groups}
        by_name = {clip.video_id: clip for clip in data.clips}
        assert not any(people & set(by_name[name].groups) for name in trained)
        assert {clip.facts["source"] for clip in current.test.clips} == {current.left_out}
        tested[current.left_out] = len(current.test)
    assert tested == {"a": 29, "b": 21}
    result = deepseq(
        *("fit", "--features", store.path, "--model", "logistic", "--members", 1),
        *("--leave-out", "source", "--out", tmp_path / "x"),
    )
    assert result.exit_code == 0, result.stderr
    assert ["logistic", "a", "15", "+", "14"] in [
        line.split()[:5] for line in result.stdout.splitlines()
    ]
    study_of = json.loads((tmp_path / "x" / "study.json").read_text())
    assert study_of["left_out"]["logistic"]["a"].keys() == {"real", "fake", "auc", "fpr", "tpr"}
    assert "| logistic | b |" in (tmp_path / "x" / "README.md").read_text()


def test_leaving_out_a_fact_that_the_clips_lack_is_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", clips=20)
    result = deepseq("fit", "--features", store.path, "--leave-out", "source")
    assert result.exit_code == 2
    assert "needs clips with at least two values of it (column `source`" in result.stderr
