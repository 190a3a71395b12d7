"""The definition of every metric, computed for many weightings of the same clips at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BINS = 15
"""Number of equally wide score bins of the calibration error."""


def bin_of(scores: Floats) -> Ints:
    """Return the bin of each score, (N,), numbered from 0; a score of 1 is in the last bin."""
    return np.minimum((scores * BINS).astype(np.int64), BINS - 1)


METRICS = (
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
"""Names of the metrics, as in `metrics.json`; each also has an interval there."""


@dataclass(frozen=True, eq=False)
class WeightedMetrics:
    """Metrics of weighted clips.

    The scores are sorted once, so that a bootstrap over thousands of weightings is fast;
    scikit-learn computes one weighting per call. With a weight of 1 for every clip, these are
    scikit-learn's metrics (the tests compare them); scikit-learn has no equal error rate,
    true-positive rate at a false-positive rate, or expected calibration error.

    Attributes:
        order: (N,); indices of the clips by falling score.
        fakes: (N,); 1 for a fake clip and 0 for a real one, in that order.
        starts: (K,); first position of each of the K distinct scores in that order.
        scores: (K,); the distinct scores, falling.
        threshold: Scores of at least this are called fake.
    """

    order: Ints
    fakes: Floats
    starts: Ints
    scores: Floats
    threshold: float

    @classmethod
    def of(cls, labels: Ints, scores: Floats, threshold: float) -> WeightedMetrics:
        """Sort the scores of at least one clip.

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
        """Compute each of `METRICS` for R weightings, (R,).

        Args:
            weights: (R, N), not negative; in each row, both classes have a positive total.
        """
        fakes, reals = self._by_score(weights)
        return {
            **_ranking(fakes, reals),
            **_decisions(fakes, reals, self.scores >= self.threshold),
            **_calibration(fakes, reals, self.scores),
        }

    def calibration_curve(self) -> tuple[Floats, Floats]:
        """Compute the curve that `ece` measures, from clips of both classes.

        Returns:
            (B,) mean scores and (B,) fractions of fakes of the non-empty bins. Both classes weigh
            the same in total.
        """
        fakes, reals = map(_halved, self._by_score(np.ones((1, len(self.order)))))
        bins = _bin_starts(self.scores)
        fake, total, score = (
            np.add.reduceat(values[0], bins)
            for values in (fakes, fakes + reals, (fakes + reals) * self.scores)
        )
        return score / total, fake / total

    def tpr_at(self, fpr: Floats, weights: Floats) -> Floats:
        """Interpolate the ROC curves: true-positive rates, (R, M), at M false-positive rates."""
        sums = self._by_score(weights)
        curves = [np.pad(totals.cumsum(axis=1), ((0, 0), (1, 0))) for totals in sums]
        fakes, reals = (curve / curve[:, -1:] for curve in curves)
        return np.stack([np.interp(fpr, *curve) for curve in zip(reals, fakes, strict=True)])

    def _by_score(self, weights: Floats) -> tuple[Floats, Floats]:
        """Sum the weights of the fake and real clips at each distinct score; (R, K) each."""
        ranked = weights[:, self.order]
        fakes = np.add.reduceat(ranked * self.fakes, self.starts, axis=1)
        return fakes, np.add.reduceat(ranked, self.starts, axis=1) - fakes


def _ranking(fakes: Floats, reals: Floats) -> dict[str, Floats]:
    """Compute the metrics that depend on the order of the scores only.

    Args:
        fakes: (R, K); total weight of the fake clips of each distinct score, highest score first.
        reals: (R, K); total weight of the real clips.
    """
    called_fakes, called_reals = fakes.cumsum(axis=1), reals.cumsum(axis=1)
    tpr = called_fakes / called_fakes[:, -1:]
    fpr = called_reals / called_reals[:, -1:]
    called = called_fakes + called_reals
    precision = called_fakes / np.where(called, called, 1.0)
    above = called_fakes - fakes / 2  # pairs with equal scores count half
    return {
        "auc": _dot(above, reals) / (called_fakes[:, -1] * called_reals[:, -1]),
        "average_precision": _dot(precision, fakes) / called_fakes[:, -1],
        "eer": _equal_error_rate(tpr, fpr),
        "tpr_at_1_fpr": np.where(fpr <= 0.01, tpr, 0.0).max(axis=1),
    }


def _equal_error_rate(tpr: Floats, fpr: Floats) -> Floats:
    """Intersect the ROC curve, linear between its points, with the line FPR = 1 - TPR."""
    gap = fpr - (1.0 - tpr)  # rises from -1 at (0, 0) to 1 at (1, 1)
    rows, after = np.arange(len(gap)), (gap >= 0).argmax(axis=1)
    first = after == 0
    gap_before = np.where(first, -1.0, gap[rows, after - 1])
    fpr_before = np.where(first, 0.0, fpr[rows, after - 1])
    share = gap_before / (gap_before - gap[rows, after])
    return np.asarray(fpr_before + share * (fpr[rows, after] - fpr_before))


def _decisions(fakes: Floats, reals: Floats, called: npt.NDArray[np.bool_]) -> dict[str, Floats]:
    """Compute the metrics of the predictions at the threshold."""
    real_right, real_wrong = reals[:, ~called].sum(axis=1), reals[:, called].sum(axis=1)
    fake_right, fake_wrong = fakes[:, called].sum(axis=1), fakes[:, ~called].sum(axis=1)
    right, wrong = real_right + fake_right, real_wrong + fake_wrong
    recalls = real_right / (real_right + real_wrong), fake_right / (fake_right + fake_wrong)
    f1 = [2 * hits / (2 * hits + wrong) for hits in (real_right, fake_right)]
    return {
        "accuracy": right / (right + wrong),
        "balanced_accuracy": np.mean(recalls, axis=0),
        "macro_f1": np.mean(f1, axis=0),
    }


def _calibration(fakes: Floats, reals: Floats, scores: Floats) -> dict[str, Floats]:
    """Compute how far the scores are from probabilities; both classes weigh the same in total."""
    fakes, reals = _halved(fakes), _halved(reals)
    off = fakes * (scores - 1.0) + reals * scores
    return {
        "ece": np.abs(np.add.reduceat(off, _bin_starts(scores), axis=1)).sum(axis=1),
        "brier": fakes @ (scores - 1.0) ** 2 + reals @ scores**2,
    }


def _halved(weights: Floats) -> Floats:
    """Scale the weights of one class, so that each row sums to 1/2."""
    return np.asarray(weights / weights.sum(axis=1, keepdims=True) / 2)


def _bin_starts(scores: Floats) -> Ints:
    """Return the position of the first score of each non-empty bin; the scores are sorted."""
    return np.append(0, np.flatnonzero(np.diff(bin_of(scores))) + 1)


def _dot(one: Floats, other: Floats) -> Floats:
    """Compute the dot product of each pair of rows, (R,)."""
    return np.asarray(np.einsum("rk,rk->r", one, other))
