from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from deepfake_seq import SequenceClassifier
from deepfake_seq.errors import RunError, UsageError
from deepfake_seq.sequence.runs import run

QUICK = {"epochs": 8, "learning_rate": 1e-2, "members": 1}


def clips(count: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = np.arange(count) % 2
    X = generator.normal(y[:, None, None], 1.0, size=(count, 10, 6)).astype(np.float32)
    mask = generator.random((count, 10)) < 0.8
    mask[:, 4] = True
    return X, y, mask


@pytest.fixture(scope="module")
def fitted() -> SequenceClassifier:
    X, y, mask = clips()
    return SequenceClassifier(**QUICK).fit(X, y, mask=mask)


def test_a_fitted_classifier_has_the_interface_of_scikit_learn(fitted: SequenceClassifier) -> None:
    X, y, mask = clips(seed=1)
    assert fitted.classes_.tolist() == [0, 1] and fitted.n_features_in_ == 6
    proba = fitted.predict_proba(X, mask=mask)
    assert proba.shape == (60, 2) and np.allclose(proba.sum(axis=1), 1)
    predictions = fitted.predict(X, mask=mask)
    assert np.array_equal(predictions, proba[:, 1] >= fitted.decision_.threshold)
    assert (predictions == y).mean() > 0.85


def test_masked_frames_have_no_effect_at_any_position(fitted: SequenceClassifier) -> None:
    X, _, mask = clips(seed=1)
    dirty = X.copy()
    dirty[~mask] = np.nan
    assert np.array_equal(fitted.predict_proba(dirty, mask), fitted.predict_proba(X, mask))
    gathered = np.zeros_like(X[:1])
    count = int(mask[0].sum())
    gathered[0, :count] = X[0, mask[0]]
    first = np.arange(10)[None] < count
    assert np.allclose(fitted.predict_proba(gathered, first), fitted.predict_proba(X[:1], mask[:1]))


@pytest.mark.parametrize(
    "params",
    [
        {"units": (6, 3)},
        {"bidirectional": True, "inputs": "both"},
        {"model": "logistic", "balance": ()},
    ],
    ids=str,
)
def test_a_saved_classifier_loads_unchanged(params: dict[str, Any], tmp_path: Path) -> None:
    X, y, mask = clips()
    classifier = SequenceClassifier(**QUICK, **params).fit(X, y, mask=mask)
    classifier.save(tmp_path / "run")
    loaded = SequenceClassifier.load(tmp_path / "run")
    assert loaded.get_params() == classifier.get_params()
    assert np.array_equal(loaded.predict_proba(X, mask), classifier.predict_proba(X, mask))
    assert loaded.decision_ == classifier.decision_ and loaded.metrics_ == classifier.metrics_
    with pytest.raises(UsageError, match="already exists"):
        classifier.save(tmp_path / "run")


def test_a_classifier_can_be_cloned_and_its_parameters_set() -> None:
    other = clone(SequenceClassifier(**QUICK, target_fpr=0.1)).set_params(model="dense")
    assert other.get_params()["model"] == "dense" and other.get_params()["target_fpr"] == 0.1


def test_an_unfitted_classifier_raises_not_fitted(tmp_path: Path) -> None:
    X, _, _ = clips()
    with pytest.raises(NotFittedError):
        SequenceClassifier().predict_proba(X)
    with pytest.raises(NotFittedError):
        SequenceClassifier().save(tmp_path / "x")


def test_groups_are_kept_together_in_training_or_validation() -> None:
    X, y, _ = clips(20)
    with pytest.raises(Exception, match="at least two groups"):
        SequenceClassifier(**QUICK).fit(X, y, groups=["ann"] * 20)
    with pytest.raises(ValueError, match="one entry per clip"):
        SequenceClassifier(**QUICK).fit(X, y, groups=["ann"])


X, Y, MASK = clips(20)
EMPTY = MASK.copy()
EMPTY[3] = False
WITH_INFINITY = X.copy()
WITH_INFINITY[2, 4] = np.inf


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X[0], Y), r"X must be numbers \(clips, frames, features\)"),
        ((X.astype(object), Y), "X must be numbers"),
        ((X, Y[:5]), "y must be 20 labels"),
        ((X, np.array(["real"] * 20)), "1 for fake and 0 for real"),
        ((X, Y * 2), "1 for fake and 0 for real"),
        ((X, Y, MASK[:, :5]), r"mask must be bool \(20, 10\)"),
        ((X, Y, MASK.astype(float)), "mask must be bool"),
        ((X, Y, EMPTY), "none in clip 3"),
        ((WITH_INFINITY, Y, MASK), "infinity or NaN in clip 2"),
    ],
)
def test_invalid_arrays_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SequenceClassifier(**QUICK).fit(*arguments)


def test_clips_of_another_shape_are_refused(fitted: SequenceClassifier) -> None:
    with pytest.raises(ValueError, match=r"X must be \(N, 10, 6\)"):
        fitted.predict_proba(np.zeros((2, 10, 7)))


@pytest.mark.parametrize("key", ["recipe", "model"])
def test_an_altered_folder_is_refused(key: str, fitted: SequenceClassifier, tmp_path: Path) -> None:
    fitted.save(tmp_path / "run")
    path = tmp_path / "run" / run.DESCRIPTION
    values = json.loads(path.read_text())
    values[key] = {"model": {"name": "os.system"}}
    path.write_text(json.dumps(values))
    with pytest.raises(RunError, match="damaged or was altered"):
        SequenceClassifier.load(tmp_path / "run")
