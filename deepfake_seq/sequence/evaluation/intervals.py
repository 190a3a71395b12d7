"""Uncertainty of the metrics: bootstrap intervals, and DeLong's test for two AUCs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import FAKE, REAL, connected_components
from deepfake_seq.sequence.evaluation.weighted_metrics import METRICS, Floats, WeightedMetrics

Ints = npt.NDArray[np.int64]

_CHUNK = 500_000
_ROUNDS = 20
_LIMITS = (2.5, 97.5)


def units(groups: Sequence[tuple[str, ...]] | None, clips: int) -> Ints:
    """The unit of each clip, (N,), numbered from 0: clips that groups tie together are one unit.

    Args:
        groups: The groups of each clip; one without any is a unit of its own. None: all are.
        clips: How many there are.
    """
    return np.arange(clips) if groups is None else connected_components(groups)


def bootstrap(
    labels: Ints,
    scores: Floats,
    threshold: float,
    unit: Ints,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float] | None]:
    """Compute the 95 % percentile interval of each metric of `WeightedMetrics`.

    Whole units are drawn, with their number kept: clips of one person resemble each other, and
    clips drawn one by one would make the intervals too narrow. A resample without both classes is
    drawn again.

    Args:
        labels: (N,); 1 = fake, 0 = real.
        scores: (N,); calibrated probabilities of fake.
        threshold: Scores of at least this are called fake.
        unit: (N,); from `units`.
        resamples: How many.
        seed: Of the drawing.

    Returns:
        None for a metric without an interval: a class has fewer than two units, or nearly all
        resamples give the same value, as they do if a model makes no mistake on a few clips.
    """
    if not _can_draw(labels, unit):
        return dict.fromkeys(METRICS)
    metrics = WeightedMetrics.of(labels, scores, threshold)
    drawn = [metrics(weights) for weights in _drawn(labels, unit, resamples, seed)]
    result: dict[str, tuple[float, float] | None] = {}
    for name in METRICS:
        low, high = np.percentile(np.concatenate([part[name] for part in drawn]), _LIMITS)
        result[name] = (float(low), float(high)) if low < high else None
    return result


def roc_band(
    labels: Ints, scores: Floats, unit: Ints, *, resamples: int = 300, seed: int = 0
) -> tuple[Floats, Floats, Floats] | None:
    """Compute the 95 % band of the ROC curve: percentiles of the resamples' curves.

    Args:
        labels: (N,); 1 = fake, 0 = real.
        scores: (N,); higher means more likely fake.
        unit: (N,); from `units`.
        resamples: How many.
        seed: Of the drawing.

    Returns:
        (M,) false-positive rates, lower and upper true-positive rates; None if a class has fewer
        than two units.
    """
    if not _can_draw(labels, unit):
        return None
    fpr = np.linspace(0, 1, 201)
    metrics = WeightedMetrics.of(labels, scores, 0.5)
    drawn = [metrics.tpr_at(fpr, weights) for weights in _drawn(labels, unit, resamples, seed)]
    low, high = np.percentile(np.concatenate(drawn), _LIMITS, axis=0)
    return fpr, low, high


def _can_draw(labels: Ints, unit: Ints) -> bool:
    return all(len(np.unique(unit[labels == label])) >= 2 for label in (REAL, FAKE))


def _drawn(labels: Ints, unit: Ints, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each clip is drawn, (R, N), some resamples at a time."""
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(labels))
    for start in range(0, resamples, rows):
        yield _resampled(generator, labels, unit, min(rows, resamples - start))


def _resampled(generator: np.random.Generator, labels: Ints, unit: Ints, rows: int) -> Floats:
    """As many resamples as rows, (R, N); what lacks a class is drawn anew.

    With two units of each class, at most one in three does: after so many rounds, none is left.
    """
    count = int(unit.max()) + 1
    weights = np.zeros((rows, len(labels)))
    missing = np.arange(rows)
    for _ in range(_ROUNDS):
        drawn = generator.integers(count, size=(len(missing), count))
        drawn += count * np.arange(len(missing))[:, None]
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        weights[missing] = times[:, unit]
        fakes = weights[missing] @ (labels == FAKE)
        reals = weights[missing] @ (labels == REAL)
        missing = missing[(fakes == 0) | (reals == 0)]
        if not len(missing):
            break
    return np.delete(weights, missing, axis=0)


class DeLong(NamedTuple):
    """Two AUCs on the same clips, compared.

    Attributes:
        difference: The first less the second.
        standard_error: Of the difference.
        p_value: Two-sided; None where the clips show no spread to measure the difference by.
    """

    difference: float
    standard_error: float
    p_value: float | None


def delong(labels: Ints, scores_one: Floats, scores_other: Floats) -> DeLong | None:
    """Whether two models' AUCs on the same clips differ by more than chance.

    DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44(3), by the midranks of Sun & Xu (2014),
    IEEE Signal Processing Letters 21(11). It takes the clips for independent: where a person is in
    several clips, the p-value is too small.

    Args:
        labels: (N,); 1 = fake, 0 = real.
        scores_one: (N,); higher means more likely fake.
        scores_other: (N,); likewise.

    Returns:
        None where a class has fewer than two clips.
    """
    fake, real = labels == FAKE, labels == REAL
    if min(fake.sum(), real.sum()) < 2:
        return None
    above_reals, below_fakes = zip(
        *(_placements(scores[fake], scores[real]) for scores in (scores_one, scores_other)),
        strict=True,
    )
    difference = float(above_reals[0].mean() - above_reals[1].mean())
    # The variance of the difference is that of the differences of the placements.
    variance = float(np.subtract(*above_reals).var(ddof=1) / fake.sum())
    variance += float(np.subtract(*below_fakes).var(ddof=1) / real.sum())
    error = math.sqrt(variance)
    if error > 1e-12:
        return DeLong(difference, error, math.erfc(abs(difference) / error / math.sqrt(2)))
    return DeLong(difference, 0.0, 1.0 if abs(difference) < 1e-12 else None)


def _placements(fakes: Floats, reals: Floats) -> tuple[Floats, Floats]:
    """For each fake clip the share of real ones below it; for each real one, of fakes above it."""
    ranks = _midranks(np.concatenate([fakes, reals]))
    among_fakes, among_reals = _midranks(fakes), _midranks(reals)
    above_reals = (ranks[: len(fakes)] - among_fakes) / len(reals)
    below_fakes = 1.0 - (ranks[len(fakes) :] - among_reals) / len(fakes)
    return above_reals, below_fakes


def _midranks(values: Floats) -> Floats:
    """The rank of each value from 1 on; equal ones share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    midranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return midranks
