"""Choose the decision threshold and the abstention band, from validation clips only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import THRESHOLDS, DecisionConfig
from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.sequence.evaluation.metrics import Labels, Scores


class ClassCounts(TypedDict):
    """Number of clips of each class."""

    real: int
    fake: int


@dataclass(frozen=True)
class Decision:
    """Threshold and abstention band of a run, and the clips that they were chosen on.

    Attributes:
        threshold: Scores of at least this are called fake.
        band: Abstention band: scores from the first to below the second are inconclusive. The two
            are equal if there is no band. The metrics ignore the band and use the predictions at
            the threshold.
        rule: Rule that chose the threshold: `fpr` or `balanced`.
        target_fpr: Maximum fraction of real clips called fake, 0 to 1, and of fake clips called
            real, outside the band.
        validation_fpr: Fraction of the real validation clips that the threshold calls fake.
        clips: Number of validation clips, `real` and `fake`.
        supported: Whether there were enough real validation clips for `target_fpr`. If not, the
            rule is `balanced`, whichever was requested; without fakes it is always `fpr`.
        thresholds: Threshold that each rule would have chosen.
        smallest_face: Size of the smallest face among the validation clips, in pixels of the frame
            (rounded down); 0 if unknown. Smaller faces get no verdict.
    """

    threshold: float
    band: tuple[float, float]
    rule: str
    target_fpr: float
    validation_fpr: float
    clips: ClassCounts
    supported: bool
    thresholds: dict[str, float]
    smallest_face: int = 0

    def __post_init__(self) -> None:
        numbers = (self.threshold, *self.band, self.target_fpr, self.validation_fpr)
        ordered = self.band[0] <= self.band[1]
        if self.rule not in THRESHOLDS or not ordered or not all(map(math.isfinite, numbers)):
            raise ValueError(f"the decision is invalid. Received: {self}")

    def is_doubtful(self, score: float) -> bool:
        """Return whether a score is in the abstention band."""
        return self.band[0] <= score < self.band[1]

    @property
    def knows_fakes(self) -> bool:
        """Whether the validation clips contained fakes.

        If not, the fraction of fakes that are detected is unknown, and the scores are not
        calibrated probabilities.
        """
        return self.clips["fake"] > 0

    @property
    def basis(self) -> str:
        """Aim of the threshold and the clips that it was chosen on, in words."""
        if not self.knows_fakes:
            aim = f"for a false-positive rate of {self.target_fpr:.1%} on"
            return (
                f"set {aim if self.supported else 'above all scores of'} {self.clips['real']} real "
                "validation clips, without any fakes"
            )
        counts = f"{self.clips['real']} real and {self.clips['fake']} fake validation clips"
        if self.rule == "fpr":
            return f"set for a false-positive rate of {self.target_fpr:.1%} on {counts}"
        return (
            f"set for the best balanced accuracy, with a false-positive rate of "
            f"{self.validation_fpr:.1%}, on {counts}"
        )

    @property
    def warnings(self) -> list[str]:
        """Warnings about limits of the verdicts, for users to read."""
        if not self.knows_fakes:
            return self._without_fakes
        if self.supported:
            return []
        return [f"{self._too_few} The threshold with the best balanced accuracy is used instead."]

    @property
    def _without_fakes(self) -> list[str]:
        warnings = [
            "NO FAKES IN VALIDATION: the fraction of fakes that the model detects is unknown, and "
            "its score is not a calibrated probability. The calibration was fitted on the training "
            "clips and the fakes made from them, and the threshold was chosen on real clips only; "
            "there is no abstention band."
        ]
        if not self.supported:
            warnings.append(f"{self._too_few} The threshold is above all their scores.")
        return warnings

    @property
    def _too_few(self) -> str:
        return (
            f"Too few real validation clips ({self.clips['real']}) for a false-positive rate of "
            f"{self.target_fpr:.1%}: at least {_min_reals(self.target_fpr)} are needed."
        )


def decide(labels: Labels, scores: Scores, config: DecisionConfig) -> Decision:
    """Choose the threshold and the abstention band.

    Below the lower end of the band, at most `target_fpr` of the fake clips are missed; above its
    upper end, at most `target_fpr` of the real clips are called fake. There is no band if the
    classes overlap so little that one threshold does both. Without fakes, there is no band either,
    and the rule is `fpr` whatever `config` says.

    Args:
        labels: (N,); 1 = fake, 0 = real; at least one real validation clip.
        scores: (N,); calibrated probabilities of fake.
        config: Rule and target false-positive rate.
    """
    reals, fakes = scores[labels == REAL], scores[labels == FAKE]
    candidates = _candidates(scores)
    false_alarms = _fraction_at_least(reals, candidates)
    strict = float(candidates[false_alarms <= config.target_fpr].min())
    supported = len(reals) >= _min_reals(config.target_fpr)
    if not len(fakes):
        return Decision(
            threshold=strict,
            band=(strict, strict),
            rule="fpr",
            target_fpr=config.target_fpr,
            validation_fpr=float((reals >= strict).mean()),
            clips={"real": len(reals), "fake": 0},
            supported=supported,
            thresholds={"fpr": strict},
        )
    missed = _fraction_below(fakes, candidates)
    lenient = float(candidates[missed <= config.target_fpr].max())
    balanced = _nearest_to_half(candidates, 1.0 - (false_alarms + missed) / 2)
    rule = config.threshold if supported else "balanced"
    threshold = strict if rule == "fpr" else balanced
    overlap = lenient < strict
    low, high = (min(lenient, threshold), max(strict, threshold)) if overlap else (threshold,) * 2
    return Decision(
        threshold=threshold,
        band=(low, high),
        rule=rule,
        target_fpr=config.target_fpr,
        validation_fpr=float((reals >= threshold).mean()),
        clips={"real": len(reals), "fake": len(fakes)},
        supported=supported or config.threshold == "balanced",
        thresholds={"fpr": strict, "balanced": balanced},
    )


def best_macro_f1(labels: Labels, scores: Scores) -> float:
    """Return the best macro-F1 that any threshold gives on these clips.

    This is an upper bound to compare the chosen threshold with: the best threshold on test clips
    cannot be known in advance.

    Args:
        labels: (N,); 1 = fake, 0 = real; both classes.
        scores: (N,); probabilities of fake.
    """
    candidates = _candidates(scores)
    reals, fakes = (labels == REAL).sum(), (labels == FAKE).sum()
    hits = _fraction_at_least(scores[labels == FAKE], candidates) * fakes
    false_alarms = _fraction_at_least(scores[labels == REAL], candidates) * reals
    rejected = reals - false_alarms
    of_fake = 2 * hits / (hits + false_alarms + fakes)
    of_real = 2 * rejected / (rejected + (fakes - hits) + reals)
    return float(((of_fake + of_real) / 2).max())


def _candidates(scores: Scores) -> Scores:
    """Return a threshold between each two neighbouring scores, one beyond each end, and 0.5."""
    distinct = np.unique(scores)
    between = (distinct[:-1] + distinct[1:]) / 2
    above = (distinct[-1] + max(1.0, distinct[-1] + 1e-6)) / 2
    return np.unique(np.concatenate([[0.5, above], distinct[:1], between]))


def _fraction_at_least(scores: Scores, thresholds: Scores) -> npt.NDArray[np.float64]:
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    return np.asarray((len(scores) - below) / len(scores))


def _fraction_below(scores: Scores, thresholds: Scores) -> npt.NDArray[np.float64]:
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    return np.asarray(below / len(scores))


def _nearest_to_half(candidates: Scores, accuracies: npt.NDArray[np.float64]) -> float:
    """Return the candidate with the best accuracy; of several, the one nearest to 0.5."""
    best = candidates[np.isclose(accuracies, accuracies.max())]
    return float(best[np.argmin(np.abs(best - 0.5))])


def _min_reals(rate: float) -> int:
    """Return the number of real clips below which a single false alarm exceeds the rate."""
    return math.ceil(1.0 / rate)
