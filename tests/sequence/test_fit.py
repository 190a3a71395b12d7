from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from records import make_record, make_store, write_store

from deepfake_seq.config import ModelConfig, TrainConfig
from deepfake_seq.errors import DatasetError, RunError, UsageError
from deepfake_seq.sequence import run
from deepfake_seq.sequence.data import load
from deepfake_seq.sequence.fit import FitResult, fit
from deepfake_seq.store import FeatureStore

QUICK = TrainConfig(epochs=12, learning_rate=1e-2, batch_size=16)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return make_store(tmp_path_factory.mktemp("stores") / "store")


@pytest.fixture(scope="module")
def fitted(store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    return fit(store, tmp_path_factory.mktemp("runs") / "gru", ModelConfig(), QUICK)


def test_classes_that_differ_are_told_apart_on_clips_of_other_people(fitted: FitResult) -> None:
    assert fitted.metrics["test"]["auc"] > 0.9
    assert fitted.metrics["test"]["balanced_accuracy"] > 0.7


def test_a_run_holds_all_that_the_design_names(fitted: FitResult) -> None:
    names = {str(path.relative_to(fitted.folder)) for path in fitted.folder.rglob("*.*")}
    assert names == {
        "README.md",
        "history.csv",
        "metrics.json",
        "model.json",
        "model.safetensors",
        "plots/training.png",
        "split.json",
    }
    assert json.loads((fitted.folder / "metrics.json").read_text()) == fitted.metrics


def test_the_split_in_the_run_shares_no_person(fitted: FitResult, store: FeatureStore) -> None:
    parts = json.loads((fitted.folder / "split.json").read_text())
    people = {
        name: {group for clip in clips for group in store[clip].groups}
        for name, clips in parts.items()
    }
    assert not people["train"] & (people["validation"] | people["test"])
    assert not people["validation"] & people["test"]
    assert sum(map(len, parts.values())) == len(store)


def test_both_baselines_stand_beside_the_model(fitted: FitResult) -> None:
    assert set(fitted.metrics["baselines"]) == {"majority", "mean_pool_logistic"}
    assert fitted.metrics["baselines"]["majority"]["test"]["balanced_accuracy"] == 0.5


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_loaded_model_gives_the_scores_of_the_trained_one(
    store: FeatureStore, tmp_path: Path, bidirectional: bool
) -> None:
    quick = TrainConfig(epochs=2, learning_rate=1e-2)
    result = fit(store, tmp_path / "run", ModelConfig(bidirectional=bidirectional), quick)
    data = load(store)
    model = run.load(tmp_path / "run")
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    test = [data.video_ids.index(clip) for clip in split["test"]]
    scores = model.scores(data.features[test], data.mask[test])
    calls = scores >= model.threshold
    confusion = result.metrics["test"]["confusion"]
    fakes = data.labels[test] == 1
    assert int(calls[fakes].sum()) == confusion["fake_called_fake"]
    assert int(calls[~fakes].sum()) == confusion["real_called_fake"]
    dirty = data.features.copy()
    mask = data.mask.copy()
    mask[:, 10:] = False
    dirty[~mask] = 77.0
    assert np.array_equal(model.scores(dirty, mask), model.scores(data.features, mask))


def test_the_same_seed_gives_the_same_weights(store: FeatureStore, tmp_path: Path) -> None:
    quick = TrainConfig(epochs=2, seed=5)
    for name in ("one", "two"):
        fit(store, tmp_path / name, ModelConfig(), quick)
    one, two = (tmp_path / name / run.WEIGHTS for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_an_existing_folder_is_not_overwritten(store: FeatureStore, fitted: FitResult) -> None:
    with pytest.raises(UsageError, match="there already"):
        fit(store, fitted.folder, ModelConfig(), QUICK)


def test_a_single_class_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    records = (make_record(f"{n}.mp4", label=1, groups=(f"p{n}",)) for n in range(6))
    store = write_store(tmp_path / "s", records)
    with pytest.raises(DatasetError, match="0 real and 6 fake"):
        fit(store, tmp_path / "runs" / "x", ModelConfig(), QUICK)
    assert not (tmp_path / "runs").exists()


def test_a_single_person_is_refused(tmp_path: Path) -> None:
    records = (make_record(f"{n}.mp4", label=n % 2, groups=("ann",)) for n in range(6))
    store = write_store(tmp_path / "s", records)
    with pytest.raises(DatasetError, match="at least two groups"):
        fit(store, tmp_path / "x", ModelConfig(), QUICK)


def test_the_data_sets_own_split_is_kept(tmp_path: Path) -> None:
    parts = ("train", "train", "validation", "test")
    records = (
        make_record(f"{n}.mp4", seed=n, label=n % 2, split=parts[n // 2 % 4]) for n in range(24)
    )
    store = write_store(tmp_path / "s", records)
    result = fit(store, tmp_path / "x", ModelConfig(), TrainConfig(epochs=1))
    assert result.split == {"train": 12, "validation": 6, "test": 6, "dropped": 0}


def test_missing_groups_are_pointed_out(tmp_path: Path) -> None:
    records = (make_record(f"{n}.mp4", seed=n, label=n % 2) for n in range(20))
    store = write_store(tmp_path / "s", records)
    result = fit(store, tmp_path / "x", ModelConfig(), TrainConfig(epochs=1))
    assert any("Nobody said who is in which clip" in warning for warning in result.warnings)
    assert "Nobody said" in (tmp_path / "x" / "README.md").read_text()


def test_a_model_no_better_than_a_baseline_is_said_to_be(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", shift=0.0)
    result = fit(store, tmp_path / "x", ModelConfig(), TrainConfig(epochs=1, learning_rate=1e-6))
    own = result.metrics["test"]["macro_f1"]
    beaten_by = [
        name
        for name, values in result.metrics["baselines"].items()
        if values["test"]["macro_f1"] >= own
    ]
    for name in beaten_by:
        assert any(name in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.json", b"{", "cannot be read"),
        ("model.json", b'{"format": "other", "format_version": 1}', "is not of format"),
        ("model.safetensors", b"\x80\x04pickle", "cannot be read"),
        ("model.safetensors", b"\xff" * 64, "cannot be read"),
    ],
)
def test_a_damaged_run_is_refused_by_name(
    fitted: FitResult, tmp_path: Path, file: str, content: bytes, message: str
) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    for name in ("model.json", "model.safetensors"):
        (copy / name).write_bytes((fitted.folder / name).read_bytes())
    (copy / file).write_bytes(content)
    with pytest.raises(RunError, match=f"{file}.*{message}"):
        run.load(copy)


def test_nan_weights_and_foreign_shapes_are_refused(fitted: FitResult, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    copy = tmp_path / "run"
    copy.mkdir()
    (copy / "model.json").write_bytes((fitted.folder / "model.json").read_bytes())
    tensors = load_file(fitted.folder / "model.safetensors")
    for change in (np.full((8,), np.nan, np.float32), np.zeros((9,), np.float32)):
        save_file({**tensors, "standardizer/mean": change}, copy / "model.safetensors")
        with pytest.raises(RunError, match="standardizer/mean must be finite float32"):
            run.load(copy)


def test_the_newest_run_is_found(tmp_path: Path, fitted: FitResult) -> None:
    with pytest.raises(RunError, match="no run in"):
        run.newest(tmp_path)
    assert run.newest(fitted.folder.parent) == fitted.folder
