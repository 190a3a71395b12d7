from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from deepfake_seq.sequence.evaluation.intervals import bootstrap, delong, roc_band, units
from deepfake_seq.sequence.evaluation.weighted_metrics import METRICS

Clips = tuple[np.ndarray, np.ndarray]


def scored_clips(count: int, seed: int = 0, gap: float = 1.0) -> Clips:
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    return labels, 1 / (1 + np.exp(-generator.normal(gap * labels, 1.0)))


def test_clips_linked_by_groups_are_one_unit() -> None:
    groups = [("ann",), (), ("ann", "bob"), ("bob",), (), ("eve",)]
    assert units(groups, 6).tolist() == [0, 1, 0, 0, 2, 3]
    assert units(None, 3).tolist() == [0, 1, 2]
    assert units([], 0).tolist() == []


def test_an_interval_contains_the_metric_and_is_reproducible() -> None:
    labels, scores = scored_clips(200)
    intervals = bootstrap(labels, scores, 0.5, np.arange(200))
    assert intervals is not None and set(intervals) == set(METRICS)
    low, high = intervals["auc"]
    assert low < roc_auc_score(labels, scores) < high
    assert intervals == bootstrap(labels, scores, 0.5, np.arange(200))
    assert intervals != bootstrap(labels, scores, 0.5, np.arange(200), seed=1)


def test_the_interval_of_the_accuracy_is_the_binomial_one() -> None:
    labels, scores = scored_clips(400)
    right = float(((scores >= 0.5) == labels).mean())
    intervals = bootstrap(labels, scores, 0.5, np.arange(400), resamples=4000)
    assert intervals is not None
    error = 1.96 * math.sqrt(right * (1 - right) / 400)
    assert intervals["accuracy"] == pytest.approx((right - error, right + error), abs=0.01)


def test_copies_of_clips_do_not_narrow_the_interval() -> None:
    labels, scores = scored_clips(60)
    once = bootstrap(labels, scores, 0.5, np.arange(60), resamples=4000)
    unit = np.repeat(np.arange(60), 10)
    copies = np.repeat(labels, 10), np.repeat(scores, 10), 0.5
    together = bootstrap(*copies, unit, resamples=4000)
    apart = bootstrap(*copies, np.arange(600), resamples=4000)
    assert once and together and apart
    assert together["auc"] == pytest.approx(once["auc"], abs=0.01)
    assert np.ptp(apart["auc"]) < 0.5 * np.ptp(together["auc"])


def test_a_class_in_a_single_unit_has_no_interval() -> None:
    labels, scores = scored_clips(10)
    for unit in (np.array([0, 1] * 5), np.zeros(10, dtype=np.int64)):
        assert set(bootstrap(labels, scores, 0.5, unit).values()) == {None}


@pytest.mark.parametrize("count", [4, 5])
def test_resamples_without_both_classes_are_drawn_again(count: int) -> None:
    labels = np.array([0, 1, 0, 1, 1])[:count]
    scores = np.array([0.2, 0.7, 0.6, 0.4, 0.9])[:count]
    intervals = bootstrap(labels, scores, 0.5, np.arange(count), resamples=300)
    assert all(limits is not None and np.isfinite(limits).all() for limits in intervals.values())


def test_a_perfect_score_on_few_clips_has_no_interval() -> None:
    labels = np.array([0, 1] * 5)
    assert bootstrap(labels, labels * 0.5 + 0.2, 0.5, np.arange(10))["auc"] is None


def kernel(fake: float, real: float) -> float:
    return 1.0 if fake > real else 0.5 if fake == real else 0.0


def brute_force(labels: np.ndarray, one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return the difference and its standard error from all pairs of a fake and a real clip."""
    fake, real = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    pairs = np.zeros((2, len(fake), len(real)))
    for model, scores in enumerate((one, other)):
        for row, column in product(range(len(fake)), range(len(real))):
            pairs[model, row, column] = kernel(scores[fake[row]], scores[real[column]])
    auc = pairs.mean(axis=(1, 2))
    covariance = np.cov(pairs.mean(axis=2)) / len(fake) + np.cov(pairs.mean(axis=1)) / len(real)
    contrast = np.array([1.0, -1.0])
    return float(auc @ contrast), float(math.sqrt(max(contrast @ covariance @ contrast, 0.0)))


@given(st.integers(0, 10_000), st.integers(0, 20), st.integers(1, 3))
def test_delong_equals_the_brute_force_over_all_pairs(seed: int, more: int, decimals: int) -> None:
    generator = np.random.default_rng(seed)
    labels = np.concatenate([[0, 0, 1, 1], generator.integers(0, 2, size=more)])
    one = generator.random(len(labels)).round(decimals)
    other = (0.5 * one + 0.5 * generator.random(len(labels))).round(decimals)
    result = delong(labels, one, other)
    assert result is not None
    expected = brute_force(labels, one, other)
    assert (result.difference, result.standard_error) == pytest.approx(expected, abs=1e-9)


def test_equal_scores_do_not_differ() -> None:
    labels, scores = scored_clips(30)
    assert delong(labels, scores, scores) == (0.0, 0.0, 1.0)
    assert delong(labels, scores, scores**3) == (0.0, 0.0, 1.0)  # the same ranking


def test_a_difference_without_variance_has_no_p_value() -> None:
    labels = np.array([0, 0, 1, 1])
    right = np.array([0.1, 0.2, 0.8, 0.9])
    assert delong(labels, right, 1 - right) == (1.0, 0.0, None)
    assert delong(labels[:3], right[:3], right[:3]) is None


def test_a_real_difference_is_significant_and_signed() -> None:
    labels, good = scored_clips(400, gap=2.0)
    _, poor = scored_clips(400, seed=1, gap=0.2)
    one, other = delong(labels, good, poor), delong(labels, poor, good)
    assert one is not None and other is not None
    assert one.difference == -other.difference > 0
    assert one.p_value == pytest.approx(other.p_value)
    assert one.p_value is not None and one.p_value < 1e-6


def test_equally_good_models_differ_significantly_in_5_percent_of_cases() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 2
    below = 0
    for _ in range(1000):
        shared = generator.normal(labels, 1.0)
        one, other = (shared + generator.normal(0, 0.7, 120) for _ in range(2))
        result = delong(labels, one, other)
        assert result is not None and result.p_value is not None
        below += result.p_value < 0.05
    assert 30 <= below <= 75  # 50 ± 7 are expected


def test_the_roc_band_contains_the_curve_and_narrows_with_more_clips() -> None:
    widths = []
    for count in (60, 2000):
        labels, scores = scored_clips(count)
        band = roc_band(labels, scores, np.arange(count))
        assert band is not None
        at, low, high = band
        fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
        curve = np.interp(at, fpr, tpr)
        assert ((low <= curve + 1e-9) & (curve <= high + 1e-9)).mean() > 0.95
        widths.append(float((high - low).mean()))
    assert widths[1] < widths[0] / 3
    assert roc_band(labels, scores, np.zeros(2000, dtype=np.int64)) is None
