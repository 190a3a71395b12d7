"""Metrics of how well scores separate fake from real clips. Fake is the positive class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.sequence.evaluation.intervals import bootstrap, midranks, units
from deepfake_seq.sequence.evaluation.weighted_metrics import METRICS, WeightedMetrics

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def auc(labels: Labels, scores: Scores) -> float | None:
    """Compute the area under the ROC curve from the ranks; None if there is only one class.

    Raises:
        ValueError: A score is not a number.
    """
    if not _has_both_classes(labels):
        return None
    if np.isnan(scores).any():
        raise ValueError(f"scores must be numbers. Received: {int(np.isnan(scores).sum())} NaN")
    fake = labels == FAKE
    fakes, reals = int(fake.sum()), int((~fake).sum())
    return float((midranks(scores)[fake].sum() - fakes * (fakes + 1) / 2) / (fakes * reals))


def auc_or_nan(labels: Labels, scores: Scores) -> float:
    """Compute the area under the ROC curve; NaN if there is only one class."""
    value = auc(labels, scores)
    return math.nan if value is None else value


def at_threshold(
    labels: Labels,
    scores: Scores,
    threshold: float,
    *,
    band: tuple[float, float] | None = None,
    groups: Sequence[tuple[str, ...]] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Compute all metrics of one split, as docs/metrics.md describes them.

    `ece` and `brier` give both classes the same total weight, as the calibration does.
    `tpr_at_1_fpr` is the largest fraction of fakes called fake by any threshold that calls at most
    1 % of the real clips fake; it is not interpolated, so with fewer than 100 real clips none of
    them may be called fake. `eer` is interpolated.

    Args:
        labels: (N,); 1 = fake, 0 = real.
        scores: (N,); calibrated probabilities of fake, 0 to 1.
        threshold: Scores of at least this are called fake.
        band: Scores from the first to below the second are inconclusive. None: no score is.
        groups: The people and sources in each clip. Clips that share one are resampled together
            for the intervals. None: every clip is resampled by itself.
        resamples: Number of bootstrap resamples behind the intervals.
        seed: Seed of the resampling.

    Returns:
        Plain JSON values; a metric that the clips do not support is None.
    """
    unit = units(groups, len(labels))
    calls = (scores >= threshold).astype(np.int64)
    intervals = bootstrap(labels, scores, threshold, unit, resamples=resamples, seed=seed)
    return {
        "clips": {"real": int((labels == REAL).sum()), "fake": int((labels == FAKE).sum())},
        "groups": len(np.unique(unit)),
        "threshold": float(threshold),
        **_estimates(labels, scores, threshold),
        **_decisions(labels, calls),
        "doubt": _doubt(labels, scores, calls, band),
        "intervals": {name: span and list(span) for name, span in intervals.items()},
    }


def _has_both_classes(labels: Labels) -> bool:
    return len(np.unique(labels)) == 2


def _estimates(labels: Labels, scores: Scores, threshold: float) -> dict[str, float | None]:
    """Compute each of `METRICS`; one class alone supports the accuracy only."""
    if _has_both_classes(labels):
        values = WeightedMetrics.of(labels, scores, threshold)(np.ones((1, len(labels))))
        return {name: float(values[name][0]) for name in METRICS}
    right = (scores >= threshold) == (labels == FAKE)
    accuracy = float(right.mean()) if len(labels) else None
    return {**dict.fromkeys(METRICS), "accuracy": accuracy}


def _decisions(labels: Labels, calls: Labels) -> dict[str, Any]:
    """Compute precision, recall and F1 of each class (None if undefined) and the confusion."""
    from sklearn.metrics import precision_recall_fscore_support

    classes = {"real": REAL, "fake": FAKE}
    per_class = {name: dict.fromkeys(("precision", "recall", "f1")) for name in classes}
    if len(labels):
        each = precision_recall_fscore_support(
            labels, calls, labels=list(classes.values()), zero_division=np.nan
        )
        for row, shares in enumerate(per_class.values()):
            for name, values in zip(shares, each, strict=False):  # the fourth array is the support
                shares[name] = None if np.isnan(values[row]) else float(values[row])
    return {
        "per_class": per_class,
        "confusion": {
            f"{label}_called_{call}": int(
                ((labels == classes[label]) & (calls == classes[call])).sum()
            )
            for label in classes
            for call in classes
        },
    }


def _doubt(
    labels: Labels, scores: Scores, calls: Labels, band: tuple[float, float] | None
) -> dict[str, Any]:
    """Count the inconclusive clips, and compute the accuracy of the others."""
    low, high = band or (np.inf, np.inf)
    inside = (low <= scores) & (scores < high)
    outside = ~inside
    return {
        "clips": int(inside.sum()),
        "share": float(inside.mean()) if len(labels) else None,
        "accuracy_outside": float((calls == labels)[outside].mean()) if outside.any() else None,
    }
