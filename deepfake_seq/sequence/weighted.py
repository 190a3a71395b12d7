"""The figures of many weightings of the same clips at once: the scores are sorted a single time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BINS = 15
"""Of equal width, for the calibration error."""


def bin_of(scores: Floats) -> Ints:
    """The bin of each score, from 0 on; 1 belongs to the last."""
    return np.minimum((scores * BINS).astype(np.int64), BINS - 1)


FIGURES = (
    "auc",
    "average_precision",
    "eer",
    "tpr_at_1_fpr",
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "ece",
    "brier",
)
"""The figures that have an interval."""


@dataclass(frozen=True, eq=False)
class WeightedFigures:
    """How well scores tell fake from real when each clip counts as often as its weight says.

    Attributes:
        order: (N,); the clips by falling score.
        fakes: (N,); 1 for a fake clip, 0 for a real one, in that order.
        starts: (K,); where each of the K distinct scores begins in that order.
        scores: (K,); the distinct scores, falling.
        threshold: Scores of at least this are called fake.
    """

    order: Ints
    fakes: Floats
    starts: Ints
    scores: Floats
    threshold: float

    @classmethod
    def of(cls, labels: Ints, scores: Floats, threshold: float) -> WeightedFigures:
        """Prepare clips, of which there is at least one.

        Args:
            labels: (N,); 1 = fake, 0 = real.
            scores: (N,); calibrated probabilities of fake, 0 to 1.
            threshold: Scores of at least this are called fake.
        """
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        starts = np.append(0, np.flatnonzero(np.diff(ranked)) + 1)
        fakes = (labels[order] == 1).astype(np.float64)
        return cls(order, fakes, starts, ranked[starts], threshold)

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Every figure for each of R weightings, (R,).

        Args:
            weights: (R, N), not negative; in each row, both classes weigh something.
        """
        fakes, reals = self._by_score(weights)
        return {
            **_ranking(fakes, reals),
            **_decisions(fakes, reals, self.scores >= self.threshold),
            **_calibration(fakes, reals, self.scores),
        }

    def tpr_at(self, fpr: Floats, weights: Floats) -> Floats:
        """The ROC curve's true-positive rates, (R, M), at M false-positive rates."""
        curves = [np.pad(part.cumsum(axis=1), ((0, 0), (1, 0))) for part in self._by_score(weights)]
        fakes, reals = (curve / curve[:, -1:] for curve in curves)
        return np.stack([np.interp(fpr, *curve) for curve in zip(reals, fakes, strict=True)])

    def _by_score(self, weights: Floats) -> tuple[Floats, Floats]:
        """The weight of the fake and of the real clips with each distinct score, (R, K)."""
        ranked = weights[:, self.order]
        fakes = np.add.reduceat(ranked * self.fakes, self.starts, axis=1)
        return fakes, np.add.reduceat(ranked, self.starts, axis=1) - fakes


def _ranking(fakes: Floats, reals: Floats) -> dict[str, Floats]:
    """What does not depend on a threshold.

    Args:
        fakes: (R, K); the weight of the fake clips with each distinct score, the highest first.
        reals: (R, K); that of the real ones.
    """
    called_fakes, called_reals = fakes.cumsum(axis=1), reals.cumsum(axis=1)
    tpr = called_fakes / called_fakes[:, -1:]
    fpr = called_reals / called_reals[:, -1:]
    called = called_fakes + called_reals
    precision = called_fakes / np.where(called, called, 1.0)
    above = called_fakes - fakes / 2  # of pairs with equal scores, half count
    return {
        "auc": _dot(above, reals) / (called_fakes[:, -1] * called_reals[:, -1]),
        "average_precision": _dot(precision, fakes) / called_fakes[:, -1],
        "eer": _equal_error_rate(tpr, fpr),
        "tpr_at_1_fpr": np.where(fpr <= 0.01, tpr, 0.0).max(axis=1),
    }


def _equal_error_rate(tpr: Floats, fpr: Floats) -> Floats:
    """Where the ROC curve's straight pieces meet the line FPR = 1 - TPR."""
    gap = fpr - (1.0 - tpr)  # rises from -1 at (0, 0) to 1 at (1, 1)
    rows, after = np.arange(len(gap)), (gap >= 0).argmax(axis=1)
    first = after == 0
    gap_before = np.where(first, -1.0, gap[rows, after - 1])
    fpr_before = np.where(first, 0.0, fpr[rows, after - 1])
    share = gap_before / (gap_before - gap[rows, after])
    return np.asarray(fpr_before + share * (fpr[rows, after] - fpr_before))


def _decisions(fakes: Floats, reals: Floats, called: npt.NDArray[np.bool_]) -> dict[str, Floats]:
    """What depends on the threshold."""
    real_right, real_wrong = reals[:, ~called].sum(axis=1), reals[:, called].sum(axis=1)
    fake_right, fake_wrong = fakes[:, called].sum(axis=1), fakes[:, ~called].sum(axis=1)
    right, wrong = real_right + fake_right, real_wrong + fake_wrong
    recalls = real_right / (real_right + real_wrong), fake_right / (fake_right + fake_wrong)
    f1 = [2 * own / (2 * own + wrong) for own in (real_right, fake_right)]
    return {
        "accuracy": right / (right + wrong),
        "balanced_accuracy": np.mean(recalls, axis=0),
        "macro_f1": np.mean(f1, axis=0),
    }


def _calibration(fakes: Floats, reals: Floats, scores: Floats) -> dict[str, Floats]:
    """How far the scores are from probabilities, with both classes weighed alike."""
    fakes = fakes / fakes.sum(axis=1, keepdims=True) / 2
    reals = reals / reals.sum(axis=1, keepdims=True) / 2
    off = fakes * (scores - 1.0) + reals * scores
    bins = np.append(0, np.flatnonzero(np.diff(bin_of(scores))) + 1)  # those that hold a score
    return {
        "ece": np.abs(np.add.reduceat(off, bins, axis=1)).sum(axis=1),
        "brier": fakes @ (scores - 1.0) ** 2 + reals @ scores**2,
    }


def _dot(one: Floats, other: Floats) -> Floats:
    """Row by row, (R,)."""
    return np.asarray(np.einsum("rk,rk->r", one, other))
