"""Uncertainty of the metrics: bootstrap intervals, and DeLong's test of two AUCs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import FAKE, REAL, connected_components
from deepfake_seq.sequence.evaluation.weighted_metrics import METRICS, Floats, WeightedMetrics

Ints = npt.NDArray[np.int64]

_MAX_WEIGHTS = 500_000
"""Maximum number of weights (resamples times clips) in memory at once."""

_MAX_REDRAWS = 20
_PERCENTILES = (2.5, 97.5)


def units(groups: Sequence[tuple[str, ...]] | None, clips: int) -> Ints:
    """Return the resampling unit of each clip, (N,), numbered from 0.

    Clips that share a group, directly or through other clips, are one unit.

    Args:
        groups: Groups of each clip; a clip without groups is a separate unit. None: every clip is a
            separate unit.
        clips: Number of clips.
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

    A resample contains as many units as there are, drawn with replacement. Clips of one person
    resemble each other, so drawing single clips would make the intervals too narrow. A resample
    that lacks a class is drawn again.

    Args:
        labels: (N,); 1 = fake, 0 = real.
        scores: (N,); calibrated probabilities of fake.
        threshold: Scores of at least this are called fake.
        unit: (N,); from `units`.
        resamples: Number of resamples.
        seed: Seed of the resampling.

    Returns:
        None for a metric without an interval: a class has fewer than two units, or nearly all
        resamples give the same value, for example because the model makes no mistake.
    """
    if not _can_draw(labels, unit):
        return dict.fromkeys(METRICS)
    metrics = WeightedMetrics.of(labels, scores, threshold)
    chunks = [metrics(weights) for weights in _weight_chunks(labels, unit, resamples, seed)]
    result: dict[str, tuple[float, float] | None] = {}
    for name in METRICS:
        values = np.concatenate([chunk[name] for chunk in chunks])
        low, high = np.percentile(values, _PERCENTILES)
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
        resamples: Number of resamples.
        seed: Seed of the resampling.

    Returns:
        False-positive rates, lower true-positive rates and upper true-positive rates, each (M,);
        None if a class has fewer than two units.
    """
    if not _can_draw(labels, unit):
        return None
    fpr = np.linspace(0, 1, 201)
    metrics = WeightedMetrics.of(labels, scores, 0.5)
    chunks = _weight_chunks(labels, unit, resamples, seed)
    curves = np.concatenate([metrics.tpr_at(fpr, weights) for weights in chunks])
    low, high = np.percentile(curves, _PERCENTILES, axis=0)
    return fpr, low, high


def _can_draw(labels: Ints, unit: Ints) -> bool:
    return all(len(np.unique(unit[labels == label])) >= 2 for label in (REAL, FAKE))


def _weight_chunks(labels: Ints, unit: Ints, resamples: int, seed: int) -> Iterator[Floats]:
    """Yield how often each resample contains each clip, (R, N), some resamples at a time."""
    generator = np.random.default_rng(seed)
    rows = max(1, _MAX_WEIGHTS // len(labels))
    for start in range(0, resamples, rows):
        yield _draw_weights(generator, labels, unit, min(rows, resamples - start))


def _draw_weights(generator: np.random.Generator, labels: Ints, unit: Ints, rows: int) -> Floats:
    """Draw R resamples, (R, N), and draw those that lack a class again.

    With two units of each class, at most one resample in three lacks a class, so practically none
    is left after `_MAX_REDRAWS` attempts; any that is left is dropped.
    """
    count = int(unit.max()) + 1
    weights = np.zeros((rows, len(labels)))
    missing = np.arange(rows)
    for _ in range(_MAX_REDRAWS):
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
    """Result of DeLong's test of two AUCs on the same clips.

    Attributes:
        difference: First AUC minus second AUC.
        standard_error: Standard error of the difference.
        p_value: Two-sided p-value; None if the AUCs differ but the standard error is 0.
    """

    difference: float
    standard_error: float
    p_value: float | None


def delong(labels: Ints, scores_one: Floats, scores_other: Floats) -> DeLong | None:
    """Test whether two models' AUCs on the same clips differ by more than chance.

    DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44(3), computed with the midranks of Sun & Xu
    (2014), IEEE Signal Processing Letters 21(11). The test assumes independent clips: if a person
    is in several clips, the p-value is too small.

    Args:
        labels: (N,); 1 = fake, 0 = real.
        scores_one: (N,); scores of one model; higher means more likely fake.
        scores_other: (N,); scores of the other model.

    Returns:
        None if a class has fewer than two clips.
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
    """Return the fraction of reals below each fake, and of fakes above each real clip."""
    ranks = midranks(np.concatenate([fakes, reals]))
    among_fakes, among_reals = midranks(fakes), midranks(reals)
    above_reals = (ranks[: len(fakes)] - among_fakes) / len(reals)
    below_fakes = 1.0 - (ranks[len(fakes) :] - among_reals) / len(fakes)
    return above_reals, below_fakes


def midranks(values: Floats) -> Floats:
    """Return the rank of each value, from 1; equal values all get the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    midranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return midranks
