"""Logistic regression on statistics of clips."""

from __future__ import annotations

import numpy as np
import pytest

from deepfake_seq.sequence.data.clip import Clip
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.data.features import ArrayFeatures
from deepfake_seq.sequence.data.preprocessing import statistics
from deepfake_seq.sequence.evaluation.metrics import auc
from deepfake_seq.sequence.training import logistic
from deepfake_seq.sequence.training.class_balance import Balance
from deepfake_seq.sequence.training.logistic import fit_logistic

FRAMES = 8


def clips(
    count: int, width: int, shift: float, seed: int = 0, people: int | None = None
) -> SequenceData:
    """Return clips; the first feature of the fakes is higher by `shift`."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    features = generator.normal(size=(count, 1, width)).repeat(FRAMES, axis=1)
    features[..., 0] += shift * labels[:, None]
    features += 0.1 * generator.normal(size=features.shape)
    rows = tuple(
        Clip(f"{seed}/{n}", int(label), (f"person{n % (people or count)}",))
        for n, label in enumerate(labels)
    )
    mask = np.ones((count, FRAMES), dtype=bool)
    return SequenceData(rows, ArrayFeatures(features.astype(np.float16), mask), np.arange(count))


def fit(data: SequenceData, which: str = "both") -> logistic.LogisticNetwork:
    balance = Balance.of(("weights",), data.labels)
    return fit_logistic(data.with_views(), which, balance, seed=0)


@pytest.mark.parametrize(("count", "width"), [(30, 40), (60, 5)])
def test_more_columns_than_clips_give_the_weights_of_an_ordinary_fit(
    count: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.linear_model import LogisticRegression

    monkeypatch.setattr(logistic, "_VARIANCES", (3.0,))
    data = clips(count, width, shift=1.0)
    network = fit(data)
    rows = statistics(data.features.read(data.rows), "both").astype(np.float64)
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    expected = LogisticRegression(C=3.0 / rows.shape[1], max_iter=10_000, tol=1e-8)
    expected.fit(scaled, data.labels)
    logits = network.logits(data.features.read(data.rows))
    np.testing.assert_allclose(logits, expected.decision_function(scaled), atol=0.02)


def test_the_penalty_is_strong_without_and_weak_with_a_difference_between_the_classes() -> None:
    spread = []
    for shift in (0.0, 4.0):
        data = clips(60, 30, shift)
        spread.append(fit(data).logits(data.features.read(data.rows)).std())
    assert spread[0] < 0.5 < 1.5 < spread[1]


def test_the_penalty_is_chosen_on_other_people() -> None:
    """Features that identify a person, who is always real or always fake, must not help."""
    generator = np.random.default_rng(1)
    count, people, width = 80, 8, 60
    person = np.arange(count) % people
    labels = person % 2
    identity = generator.normal(size=(people, width))
    features = (identity[person] + 0.05 * generator.normal(size=(count, width)))[:, None]
    rows = tuple(
        Clip(f"{n}", int(label), (f"person{person[n]}",)) for n, label in enumerate(labels)
    )
    arrays = ArrayFeatures(
        features.repeat(FRAMES, axis=1).astype(np.float16), np.ones((count, FRAMES), dtype=bool)
    )
    data = SequenceData(rows, arrays, np.arange(count))
    strangers = SequenceData(
        tuple(Clip(f"{n}", int(k)) for n, k in enumerate(labels)), arrays, data.rows
    )
    spread = [fit(each).logits(arrays.read(data.rows)).std() for each in (data, strangers)]
    assert spread[0] < 0.5 * spread[1]


def test_too_few_groups_for_inner_folds_are_no_error() -> None:
    data = clips(8, 3, shift=5.0, people=2)
    assert auc(data.labels, fit(data).logits(data.features.read(data.rows))) > 0.9


def test_clips_with_equal_features_get_equal_scores_and_no_error() -> None:
    data = clips(20, 30, shift=0.0)
    features = np.ones((20, FRAMES, 30), dtype=np.float16)
    same = SequenceData(
        data.clips, ArrayFeatures(features, data.features.read(data.rows)[1]), data.rows
    )
    logits = fit(same).logits(same.features.read(same.rows))
    assert np.isfinite(logits).all()
    assert np.ptp(logits) == 0.0
