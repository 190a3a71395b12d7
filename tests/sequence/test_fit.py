from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from children import PATHS, run_python
from records import make_record, make_store, write_store

from deepfake_seq.config import FEW_CLIPS, ModelConfig, TrainConfig
from deepfake_seq.errors import DatasetError, RunError, TrainingError, UsageError
from deepfake_seq.sequence.data.dataset import load
from deepfake_seq.sequence.evaluation import predictions
from deepfake_seq.sequence.experiment import load_experiment
from deepfake_seq.sequence.fit import fit
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.runs.writer import FitResult
from deepfake_seq.sequence.training.ensemble import ExperimentConfig, member_count
from deepfake_seq.sequence.training.numpy_trainer import NumpyTrainer
from deepfake_seq.sequence.training.train import train
from deepfake_seq.store import FeatureRecord, FeatureStore

QUICK = ExperimentConfig(train=TrainConfig(epochs=12, learning_rate=1e-2, batch_size=16, members=1))


def fit_run(
    store: FeatureStore, folder: Path, config: ExperimentConfig = QUICK, **changes: Any
) -> FitResult:
    """Fit a run with `changes` to its training settings."""
    config = replace(config, train=replace(config.train, **changes))
    return fit(load_experiment(store, config.split), folder, config)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return make_store(tmp_path_factory.mktemp("stores") / "store")


@pytest.fixture(scope="module")
def fitted(store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    return fit_run(store, tmp_path_factory.mktemp("runs") / "gru")


def test_separable_classes_are_separated_on_clips_of_other_people(fitted: FitResult) -> None:
    assert fitted.metrics["test"]["auc"] > 0.9
    assert fitted.metrics["test"]["balanced_accuracy"] > 0.7


def test_a_run_has_all_files_of_the_design(fitted: FitResult) -> None:
    names = {str(path.relative_to(fitted.folder)) for path in fitted.folder.rglob("*.*")}
    assert names == {
        "README.md",
        "history.csv",
        "metrics.json",
        "model.json",
        "model.safetensors",
        "novelty.safetensors",
        "plots/training.png",
        "predictions.csv",
        "split.json",
    }
    assert json.loads((fitted.folder / "metrics.json").read_text()) == fitted.metrics


def test_the_split_in_the_run_shares_no_person(fitted: FitResult, store: FeatureStore) -> None:
    splits = json.loads((fitted.folder / "split.json").read_text())
    people = {
        name: {group for clip in clips for group in store[clip].groups}
        for name, clips in splits.items()
    }
    assert not people["train"] & (people["validation"] | people["test"])
    assert not people["validation"] & people["test"]
    assert sum(map(len, splits.values())) == len(store)


def test_both_baselines_are_evaluated(fitted: FitResult) -> None:
    assert set(fitted.metrics["baselines"]) == {"majority", "mean_pool_logistic"}
    assert fitted.metrics["baselines"]["majority"]["test"]["balanced_accuracy"] == 0.5


@pytest.mark.parametrize(
    "config",
    [
        QUICK,
        replace(QUICK, model=ModelConfig(bidirectional=True, inputs="both")),
        replace(QUICK, model=ModelConfig("lstm", units=(6, 3))),
        replace(QUICK, model=ModelConfig("logistic", inputs="both")),
        replace(QUICK, train=replace(QUICK.train, members=3, epochs=2)),
    ],
    ids=["gru", "bigru", "other units", "logistic", "three members"],
)
def test_a_loaded_model_gives_the_scores_of_the_trained_one(
    store: FeatureStore, tmp_path: Path, config: ExperimentConfig
) -> None:
    result = fit_run(store, tmp_path / "run", config, epochs=2)
    data = load(store)
    model = run.load(tmp_path / "run")
    tested = predictions.read(tmp_path / "run" / predictions.NAME).of_split("test")
    assert len(tested) == result.split["test"] > 0
    ids = [clip.video_id for clip in data.clips]
    test = data.take(np.array([ids.index(video_id) for video_id in tested.video_ids]))
    assert np.allclose(model.scores(test), tested.scores, atol=1e-7)
    assert model.decision.threshold == result.threshold
    assert model.data == "store"


def test_a_run_without_the_units_setting_loads_with_the_same_scores(
    fitted: FitResult, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(fitted.folder, old)
    values = json.loads((old / run.DESCRIPTION).read_text())
    del values["model"]["units"], values["recipe"]["model"]["units"]
    (old / run.DESCRIPTION).write_text(json.dumps(values))
    arrays = (np.ones((1, 16, 8), np.float16), np.ones((1, 16), bool))
    assert run.load(old).scores_of(arrays) == run.load(fitted.folder).scores_of(arrays)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    store: FeatureStore, tmp_path: Path
) -> None:
    for name, seed in (("one", 5), ("other", 6), ("two", 5)):
        fit_run(store, tmp_path / name, epochs=2, seed=seed)
    one, other, two = (
        (tmp_path / name / run.WEIGHTS).read_bytes() for name in ("one", "other", "two")
    )
    assert one == two
    assert one != other


@pytest.mark.slow
def test_training_does_not_depend_on_earlier_training(store: FeatureStore, tmp_path: Path) -> None:
    # This process has trained before; a new process has not.
    fit_run(store, tmp_path / "here", epochs=2, seed=3)
    code = (
        f"import sys; sys.path[:0] = {[*PATHS, str(Path(__file__).parent)]}\n"
        "from pathlib import Path; import test_fit as t\n"
        "from deepfake_seq.store import FeatureStore\n"
        f"t.fit_run(FeatureStore.open(Path({str(store.path)!r})), "
        f"Path({str(tmp_path / 'there')!r}), epochs=2, seed=3)"
    )
    run_python(code)
    here, there = (tmp_path / name / run.WEIGHTS for name in ("here", "there"))
    assert here.read_bytes() == there.read_bytes()


def test_training_from_disk_works_as_well_as_from_memory(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepfake_seq.sequence import experiment

    monkeypatch.setattr(
        experiment, "load", lambda store, **options: load(store, memory_bytes=0, **options)
    )
    assert fit_run(store, tmp_path / "x").metrics["test"]["auc"] > 0.9


def test_loading_and_scoring_import_no_framework(fitted: FitResult) -> None:
    code = (
        "import sys, numpy as np\nfrom pathlib import Path\nimport deepfake_seq.predict\n"
        "from deepfake_seq.sequence.runs import run\n"
        f"model = run.load(Path({str(fitted.folder)!r}))\n"
        "arrays = np.ones((1, *model.shape), np.float16), np.ones((1, model.shape[0]), bool)\n"
        "print(*model.scores_of(arrays), *{name.split('.')[0] for name in sys.modules})"
    )
    score, *loaded = run_python(code).split()
    assert 0 < float(score) < 1
    assert not {"tensorflow", "keras", "jax", "torch", "sklearn"} & set(loaded)


def test_with_several_members_every_training_clip_is_a_validation_clip(
    store: FeatureStore, tmp_path: Path
) -> None:
    result = fit_run(store, tmp_path / "x", members=4, epochs=1)
    assert result.members == 4
    assert result.split["validation"] == result.split["train"] == 40 - result.split["test"]
    assert result.metrics["validation"]["clips"] == {"real": 16, "fake": 16}
    assert len(run.load(tmp_path / "x").members) == 4
    assert "4 networks" in (tmp_path / "x" / "README.md").read_text()


def test_few_clips_get_five_members_and_many_get_one() -> None:
    assert member_count(ExperimentConfig(), FEW_CLIPS - 1) == 5
    assert member_count(ExperimentConfig(), FEW_CLIPS) == 1
    assert member_count(ExperimentConfig(train=TrainConfig(members=2)), 10) == 2


@pytest.fixture(scope="module")
def rare_fakes(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    records = (
        make_record(
            f"{n:03}.mp4", seed=n, label=int(n % 8 == 0), shift=n % 8 == 0, groups=(f"p{n}",)
        )
        for n in range(160)
    )
    return write_store(tmp_path_factory.mktemp("stores") / "rare", records)


@pytest.mark.parametrize("method", ["alpha", "weights", "batches"])
def test_a_rare_class_is_learned_with_each_method_of_balancing(
    method: str, rare_fakes: FeatureStore, tmp_path: Path
) -> None:
    result = fit_run(rare_fakes, tmp_path / "x", balance=(method,))
    assert result.metrics["test"]["balanced_accuracy"] > 0.8
    assert result.balance.startswith(f"{method}: a real clip counts")


@pytest.mark.parametrize("name", ["lstm", "dense", "attention", "frame_attention", "logistic"])
def test_every_model_learns_separable_classes(
    name: str, store: FeatureStore, tmp_path: Path
) -> None:
    # 40 clips in batches of 16: the last batch is not full.
    result = fit_run(store, tmp_path / "x", replace(QUICK, model=ModelConfig(name)), epochs=30)
    assert result.metrics["test"]["auc"] > 0.9


def test_diverging_training_is_an_error_and_writes_nothing(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_weights = NumpyTrainer.weights.fget  # type: ignore[attr-defined]
    diverged = property(
        lambda trainer: {name: tensor * np.nan for name, tensor in get_weights(trainer).items()}
    )
    monkeypatch.setattr(NumpyTrainer, "weights", diverged)
    with pytest.raises(TrainingError, match=r"gru diverged in epoch 1: .* lower --learning-rate"):
        fit_run(store, tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("batch_size", [16, 23, 65_536])
def test_the_reported_loss_does_not_depend_on_the_batch_size(
    store: FeatureStore, batch_size: int
) -> None:
    still = TrainConfig(epochs=1, learning_rate=1e-9, balance=(), batch_size=batch_size)
    data = load(store)
    training, validation = data.take(np.arange(32)).with_views(), data.take(np.arange(32, 40))
    (row,) = train(training, validation, ModelConfig(), still).history
    # The focal loss at logit 0 is 0.25 · ln 2; the initial logits are close to 0.
    assert row["loss"] == pytest.approx(0.173, abs=0.06)


def test_two_methods_of_balancing_give_a_warning(store: FeatureStore, tmp_path: Path) -> None:
    result = fit_run(store, tmp_path / "x", balance=("alpha", "weights"), epochs=1)
    assert any("corrected 2 times" in warning for warning in result.warnings)


@pytest.mark.slow
def test_random_labels_give_chance_performance(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    records = (
        make_record(f"{n:03}.mp4", seed=n, label=int(generator.integers(2)), groups=(f"p{n}",))
        for n in range(120)
    )
    result = fit_run(write_store(tmp_path / "s", records), tmp_path / "x", epochs=5)
    test = result.metrics["test"]
    # Without an interval, every resample has the same AUC, which must be 0.5.
    low, high = test["intervals"]["auc"] or [test["auc"]] * 2
    assert low <= 0.5 <= high
    assert result.metrics["test"]["doubt"]["share"] > 0.5


def test_a_shortcut_gives_a_warning_in_the_run_and_its_model_card(tmp_path: Path) -> None:
    records = (
        make_record(
            f"{n:03}.mp4",
            seed=n,
            label=n % 2,
            groups=(f"p{n}",),
            facts={"width": 640 if n % 2 else 1280, "frames_sampled": 16},
        )
        for n in range(60)
    )
    result = fit_run(write_store(tmp_path / "s", records), tmp_path / "x", epochs=1)
    assert any("width 1.00" in warning for warning in result.warnings)
    assert "metadata alone reaches AUC 1.00" in (tmp_path / "x" / "README.md").read_text()


def test_an_existing_folder_is_not_overwritten(store: FeatureStore, fitted: FitResult) -> None:
    with pytest.raises(UsageError, match="already exists"):
        fit_run(store, fitted.folder)


def test_a_single_class_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    records = (make_record(f"{n}.mp4", label=1, groups=(f"p{n}",)) for n in range(6))
    store = write_store(tmp_path / "s", records)
    with pytest.raises(DatasetError, match="0 real and 6 fake"):
        fit_run(store, tmp_path / "runs" / "x")
    assert not (tmp_path / "runs").exists()


def test_a_single_person_is_refused(tmp_path: Path) -> None:
    records = (make_record(f"{n}.mp4", label=n % 2, groups=("ann",)) for n in range(6))
    store = write_store(tmp_path / "s", records)
    with pytest.raises(DatasetError, match="at least two groups"):
        fit_run(store, tmp_path / "x")


def test_the_official_split_is_used(tmp_path: Path) -> None:
    splits = ("train", "train", "validation", "test")
    records = (
        make_record(f"{n}.mp4", seed=n, label=n % 2, split=splits[n // 2 % 4]) for n in range(24)
    )
    result = fit_run(write_store(tmp_path / "s", records), tmp_path / "x", epochs=1)
    assert result.split == {"train": 12, "validation": 6, "test": 6, "dropped": 0}


def test_the_labels_of_test_clips_have_no_effect_on_the_model(tmp_path: Path) -> None:
    def records(flipped: bool) -> Iterator[FeatureRecord]:
        for n in range(40):
            split = "train" if n < 20 else "validation" if n < 30 else "test"
            label = n % 2 if split != "test" or not flipped else 1 - n % 2
            yield make_record(f"{n:02}.mp4", seed=n, shift=0.5 * (n % 2), label=label, split=split)

    auc = {}
    for flipped in (False, True):
        store = write_store(tmp_path / f"s{flipped}", records(flipped))
        result = fit_run(store, tmp_path / f"x{flipped}", epochs=3)
        auc[flipped] = result.metrics["test"]["auc"]
    runs = [tmp_path / f"x{flipped}" for flipped in (False, True)]
    one, other = (run.load(folder) for folder in runs)
    assert one.decision == other.decision and one.calibration == other.calibration
    assert (runs[0] / run.WEIGHTS).read_bytes() == (runs[1] / run.WEIGHTS).read_bytes()
    assert auc[True] == pytest.approx(1 - auc[False]) != 0.5


def test_missing_groups_give_a_warning(tmp_path: Path) -> None:
    records = (make_record(f"{n}.mp4", seed=n, label=n % 2) for n in range(20))
    store = write_store(tmp_path / "s", records)
    result = fit_run(store, tmp_path / "x", epochs=1)
    assert any("No identity groups given" in warning for warning in result.warnings)
    assert "No identity groups given" in (tmp_path / "x" / "README.md").read_text()


def test_a_model_no_better_than_a_baseline_gives_a_warning(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", shift=0.0)
    result = fit_run(store, tmp_path / "x", epochs=1, learning_rate=1e-6)
    macro_f1 = result.metrics["test"]["macro_f1"]
    beaten_by = [
        name
        for name, values in result.metrics["baselines"].items()
        if values["test"]["macro_f1"] >= macro_f1
    ]
    for name in beaten_by:
        assert any(name in warning for warning in result.warnings)


def test_the_newest_run_is_found(tmp_path: Path, fitted: FitResult) -> None:
    with pytest.raises(RunError, match="no run in"):
        run.newest(tmp_path)
    assert run.newest(fitted.folder.parent) == fitted.folder


@pytest.mark.slow
def test_keras_on_jax_trains_a_model_as_good_without_tensorflow(
    store: FeatureStore, tmp_path: Path
) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "sys.modules['tensorflow'] = None\n"
        "from deepfake_seq.cli import main\n"
        f"sys.argv = ['deepseq', 'fit', '--features', {str(store.path)!r}, '--out', "
        f"{str(tmp_path / 'run')!r}, '--runtime', 'keras', '--members', '1', '--json']\n"
        "main()\n"
    )
    result = json.loads(run_python(code, KERAS_BACKEND="jax"))
    assert result["test"]["auc"] > 0.9
