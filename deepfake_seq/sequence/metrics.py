"""How well scores tell fake from real, at video level. Fake is the positive class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.sequence.intervals import bootstrap, units
from deepfake_seq.sequence.weighted import FIGURES, WeightedFigures

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def auc(labels: Labels, scores: Scores) -> float | None:
    """The area under the ROC curve; None where there is only one class."""
    from sklearn.metrics import roc_auc_score

    if len(np.unique(labels)) < 2:
        return None
    return float(roc_auc_score(labels, scores))


def auc_or_nan(labels: Labels, scores: Scores) -> float:
    """The same as a number, which is NaN where there is only one class."""
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
    """Everything that is said of one part. docs/metrics.md says what each figure is.

    `ece` and `brier` are those of both classes weighed alike, as the scores were calibrated.
    `tpr_at_1_fpr` is the largest share of fakes called fake by any threshold that calls at most 1 %
    of the real clips fake; nothing is interpolated, so with fewer than 100 real clips it allows
    none of them. `eer` is interpolated.

    Args:
        labels: (N,); 1 = fake, 0 = real.
        scores: (N,); calibrated probabilities of fake, 0 to 1.
        threshold: Scores of at least this are called fake.
        band: The lowest score in doubt, and the lowest beyond the doubt; None: no score is.
        groups: The people and sources in each clip: clips that share one are drawn together for
            the intervals. None: every clip stands for itself.
        resamples: Of the bootstrap behind the intervals.
        seed: Of their drawing.

    Returns:
        Plain JSON values; a figure that the part cannot support is None.
    """
    unit = units(groups, len(labels))
    both = len(np.unique(labels)) == 2
    intervals = bootstrap(labels, scores, threshold, unit, resamples=resamples, seed=seed)
    calls = (scores >= threshold).astype(np.int64)
    return {
        "clips": {"real": int((labels == REAL).sum()), "fake": int((labels == FAKE).sum())},
        "groups": len(np.unique(unit)),
        "threshold": float(threshold),
        **(_figures(labels, scores, threshold) if both else dict.fromkeys(FIGURES)),
        "accuracy": float((calls == labels).mean()) if len(labels) else None,
        **_decisions(labels, calls),
        "doubt": _doubt(labels, scores, calls, band),
        "intervals": {name: span and list(span) for name, span in intervals.items()},
    }


def _figures(labels: Labels, scores: Scores, threshold: float) -> dict[str, float]:
    """Those that need both classes."""
    from sklearn import metrics

    calls = scores >= threshold
    alike = 1.0 / np.bincount(labels)[labels]  # the same sum for both classes
    own = WeightedFigures.of(labels, scores, threshold)(np.ones((1, len(labels))))
    return {
        "auc": float(metrics.roc_auc_score(labels, scores)),
        "average_precision": float(metrics.average_precision_score(labels, scores)),
        "eer": float(own["eer"][0]),
        "tpr_at_1_fpr": float(own["tpr_at_1_fpr"][0]),
        "balanced_accuracy": float(metrics.balanced_accuracy_score(labels, calls)),
        "macro_f1": float(metrics.f1_score(labels, calls, average="macro", zero_division=0.0)),
        "ece": float(own["ece"][0]),
        "brier": float(metrics.brier_score_loss(labels, scores, sample_weight=alike)),
    }


def _decisions(labels: Labels, calls: Labels) -> dict[str, Any]:
    """What becomes of the clips of each class; None where a share would be of nothing."""
    from sklearn.metrics import precision_recall_fscore_support

    classes = {"real": REAL, "fake": FAKE}
    per_class = {name: dict.fromkeys(("precision", "recall", "f1")) for name in classes}
    if len(labels):
        each = precision_recall_fscore_support(
            labels, calls, labels=list(classes.values()), zero_division=np.nan
        )
        for row, shares in enumerate(per_class.values()):
            for name, values in zip(shares, each, strict=False):  # the fourth is the count
                shares[name] = None if np.isnan(values[row]) else float(values[row])
    return {
        "per_class": per_class,
        "confusion": {
            f"{own}_called_{call}": int(((labels == classes[own]) & (calls == classes[call])).sum())
            for own in classes
            for call in classes
        },
    }


def _doubt(
    labels: Labels, scores: Scores, calls: Labels, band: tuple[float, float] | None
) -> dict[str, Any]:
    """How many clips are in the band of doubt, and how the others fare."""
    low, high = band or (np.inf, np.inf)
    inside = (low <= scores) & (scores < high)
    outside = ~inside
    return {
        "clips": int(inside.sum()),
        "share": float(inside.mean()) if len(labels) else None,
        "accuracy_outside": float((calls == labels)[outside].mean()) if outside.any() else None,
    }
