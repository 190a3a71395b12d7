from __future__ import annotations

import numpy as np
import pytest

from deepfake_seq.sequence.evaluation.calibration import PlattScaling


def noisy(seed: int, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, size=count)
    return labels, generator.normal(2.0 * labels - 1.0, 1.0)


def test_calibrated_scores_match_the_fraction_of_fakes() -> None:
    labels, logits = noisy(0)
    scores = PlattScaling.fit(labels, 10.0 * logits + 7.0).apply(10.0 * logits + 7.0)
    for low in (0.1, 0.4, 0.7):
        inside = (scores >= low) & (scores < low + 0.2)
        assert labels[inside].mean() == pytest.approx(scores[inside].mean(), abs=0.06)


def test_calibration_keeps_the_ranking() -> None:
    labels, logits = noisy(1, 50)
    scores = PlattScaling.fit(labels, logits).apply(logits)
    assert np.array_equal(np.argsort(scores), np.argsort(logits))


def test_a_model_that_ranks_backwards_gets_constant_scores() -> None:
    labels, logits = noisy(2)
    assert np.all(PlattScaling.fit(labels, -logits).apply(-logits) == 0.5)


def test_perfectly_separated_clips_give_finite_scores() -> None:
    labels, logits = np.array([0, 0, 1, 1]), np.array([-900.0, -800.0, 700.0, 950.0])
    scores = PlattScaling.fit(labels, logits).apply(logits)
    assert np.all((scores > 0) & (scores < 1))


@pytest.mark.parametrize("size", [0.002, 300.0])
def test_logits_that_differ_only_by_rounding_give_constant_scores(size: float) -> None:
    labels = np.array([0, 0, 0, 1, 1])
    logits = np.full(5, size) + 1e-7 * size * np.array([0, 0, -1, 1, 0])
    assert np.all(PlattScaling.fit(labels, logits).apply(logits) == 0.5)
