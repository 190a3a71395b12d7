"""Metrics of weighted clips are scikit-learn's metrics of repeated clips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from deepfake_seq.sequence.evaluation.weighted_metrics import BINS, WeightedMetrics, bin_of

# Coarse scores tie often; 0 and 1 are the ends of the outer bins.
clips = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 12).map(lambda n: n / 12), st.integers(0, 3)),
    max_size=30,
).map(lambda drawn: [(0, 0.25, 1), (1, 0.5, 2), *drawn])


def repeated(drawn: list[tuple[int, float, int]]) -> tuple[np.ndarray, np.ndarray]:
    labels, scores, weights = (np.array(column) for column in zip(*drawn, strict=True))
    return np.repeat(labels, weights), np.repeat(scores, weights).astype(float)


def weighted(drawn: list[tuple[int, float, int]], threshold: float = 0.5) -> dict[str, float]:
    labels, scores, weights = (np.array(column) for column in zip(*drawn, strict=True))
    computed = WeightedMetrics.of(labels, scores.astype(float), threshold)
    # A second, different row: rows must not mix.
    results = computed(np.stack([np.ones(len(labels)), weights]).astype(float))
    return {name: float(values[1]) for name, values in results.items()}


@given(clips, st.sampled_from([0.0, 0.3, 0.5, 1.0, 1.1]))
def test_metrics_equal_those_of_scikit_learn(
    drawn: list[tuple[int, float, int]], threshold: float
) -> None:
    computed = weighted(drawn, threshold)
    labels, scores = repeated(drawn)
    calls = scores >= threshold
    class_weights = 1.0 / np.bincount(labels)[labels]
    expected = {
        "auc": metrics.roc_auc_score(labels, scores),
        "average_precision": metrics.average_precision_score(labels, scores),
        "accuracy": metrics.accuracy_score(labels, calls),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, calls),
        "macro_f1": metrics.f1_score(labels, calls, average="macro", zero_division=0.0),
        "brier": metrics.brier_score_loss(labels, scores, sample_weight=class_weights),
    }
    assert {name: computed[name] for name in expected} == pytest.approx(expected)


@given(clips)
def test_the_roc_curve_equals_that_of_scikit_learn(
    drawn: list[tuple[int, float, int]],
) -> None:
    computed = weighted(drawn)
    fpr, tpr, _ = metrics.roc_curve(*repeated(drawn), drop_intermediate=False)
    assert computed["tpr_at_1_fpr"] == pytest.approx(tpr[fpr <= 0.01].max())
    # At the equal error rate, the polyline has equal false-positive and false-negative rates.
    along = np.linspace(0, len(fpr) - 1, 20_001)
    at = np.arange(len(fpr))
    error = np.interp(along, at, fpr) - (1 - np.interp(along, at, tpr))
    nearest = along[np.abs(error).argmin()]
    assert computed["eer"] == pytest.approx(float(np.interp(nearest, at, fpr)), abs=2e-3)


@given(clips)
def test_the_calibration_error_is_the_weighted_mean_gap_of_the_bins(
    drawn: list[tuple[int, float, int]],
) -> None:
    labels, scores = repeated(drawn)
    class_weights = 0.5 / np.bincount(labels)[labels]
    error = 0.0
    for number in range(BINS):
        in_bin = bin_of(scores) == number
        if in_bin.any():
            share = np.average(labels[in_bin], weights=class_weights[in_bin])
            mean = np.average(scores[in_bin], weights=class_weights[in_bin])
            error += class_weights[in_bin].sum() * abs(share - mean)
    assert weighted(drawn)["ece"] == pytest.approx(error)


def test_the_bins_have_equal_widths_and_include_both_ends() -> None:
    assert bin_of(np.array([0.0, 0.05, 0.07, 0.95, 1.0])).tolist() == [0, 0, 1, 14, 14]
