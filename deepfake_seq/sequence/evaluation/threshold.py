"""From scores to a call: the threshold and the abstention band, by validation clips only."""

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
    """How many clips there are of each class."""

    real: int
    fake: int


@dataclass(frozen=True)
class Decision:
    """How a run decides, and on how much that rests.

    Attributes:
        threshold: Scores of at least this are called fake.
        band: Scores from the first to below the second are too doubtful for a verdict. Equal where
            there is no such band. Where the threshold lies in it, it is still what calls are
            counted by in the metrics.
        rule: How the threshold was chosen: `fpr` or `balanced`.
        target_fpr: The share of real clips that may be called fake, from 0 to 1, and of fake ones
            that may be called real, outside of the band.
        validation_fpr: The share of the real validation clips that the threshold calls fake.
        clips: How many validation clips it was chosen on, `real` and `fake`.
        supported: Whether there were enough real ones for `target_fpr` to mean anything. Where
            not, the rule is `balanced`, whatever was asked; but without fakes it is `fpr`.
        thresholds: What each rule would have chosen.
    """

    threshold: float
    band: tuple[float, float]
    rule: str
    target_fpr: float
    validation_fpr: float
    clips: ClassCounts
    supported: bool
    thresholds: dict[str, float]

    def __post_init__(self) -> None:
        figures = (self.threshold, *self.band, self.target_fpr, self.validation_fpr)
        ordered = self.band[0] <= self.band[1]
        if self.rule not in THRESHOLDS or not ordered or not all(map(math.isfinite, figures)):
            raise ValueError(f"not a decision. Received: {self}")

    def is_doubtful(self, score: float) -> bool:
        """Whether a score lies in the abstention band."""
        return self.band[0] <= score < self.band[1]

    @property
    def knows_fakes(self) -> bool:
        """Whether there were fakes to validate by.

        Where not, nobody knows how many fakes are found, and scores are no calibrated
        probabilities.
        """
        return self.clips["fake"] > 0

    @property
    def basis(self) -> str:
        """What the threshold was set for, and on what, in words."""
        if not self.knows_fakes:
            aim = f"for a false-positive rate of {self.target_fpr:.1%} on"
            return (
                f"set {aim if self.supported else 'above'} {self.clips['real']} real validation "
                "clips, without any fake to validate by"
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
        """What a reader of a verdict must be told."""
        if not self.knows_fakes:
            return self._without_fakes
        if self.supported:
            return []
        return [
            f"{self.clips['real']} real clips for validation cannot support a false-positive rate "
            f"of {self.target_fpr:.1%}: at least {_needed(self.target_fpr)} are needed. The "
            "threshold is the one with the best balanced accuracy."
        ]

    @property
    def _without_fakes(self) -> list[str]:
        warnings = [
            "THERE WERE NO FAKES TO VALIDATE BY: how many fakes it finds is unknown, and its score "
            "is no calibrated probability. The calibration was fitted to the training clips and "
            "the fakes made from them, the threshold to real validation clips alone; there is no "
            "abstention band."
        ]
        if not self.supported:
            warnings.append(
                f"{self.clips['real']} real clips for validation cannot support a false-positive "
                f"rate of {self.target_fpr:.1%}: at least {_needed(self.target_fpr)} are needed. "
                "The threshold lies above all their scores."
            )
        return warnings


def decide(labels: Labels, scores: Scores, config: DecisionConfig) -> Decision:
    """Choose the threshold and the abstention band.

    The band lies between the score below which at most `target_fpr` of the fake clips are missed
    and the one above which at most `target_fpr` of the real ones are called fake, where the classes
    overlap so much that the one lies below the other. Without fakes, the real clips give the
    threshold by the false-positive rate, whatever the rule, and there is no such band.

    Args:
        labels: (N,) of validation clips, real ones among them.
        scores: (N,) calibrated probabilities of fake.
        config: What is wanted.
    """
    reals, fakes = scores[labels == REAL], scores[labels == FAKE]
    candidates = _candidates(scores)
    false_alarms = _share_at_least(reals, candidates)
    strict = float(candidates[false_alarms <= config.target_fpr].min())
    supported = len(reals) >= _needed(config.target_fpr)
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
    missed = _share_below(fakes, candidates)
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
    """The best macro-F1 that any threshold would give on these very clips.

    Nobody can know that threshold beforehand: a yardstick for the one that was chosen.

    Args:
        labels: (N,) of both classes.
        scores: (N,) probabilities.
    """
    candidates = _candidates(scores)
    reals, fakes = (labels == REAL).sum(), (labels == FAKE).sum()
    hits = _share_at_least(scores[labels == FAKE], candidates) * fakes
    false_alarms = _share_at_least(scores[labels == REAL], candidates) * reals
    rejected = reals - false_alarms
    of_fake = 2 * hits / (hits + false_alarms + fakes)
    of_real = 2 * rejected / (rejected + (fakes - hits) + reals)
    return float(((of_fake + of_real) / 2).max())


def _candidates(scores: Scores) -> Scores:
    """A threshold between each two neighbouring scores, one beyond each end, and 0.5."""
    distinct = np.unique(scores)
    between = (distinct[:-1] + distinct[1:]) / 2
    above = (distinct[-1] + max(1.0, distinct[-1] + 1e-6)) / 2
    return np.unique(np.concatenate([[0.5, above], distinct[:1], between]))


def _share_at_least(scores: Scores, thresholds: Scores) -> npt.NDArray[np.float64]:
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    return np.asarray((len(scores) - below) / len(scores))


def _share_below(scores: Scores, thresholds: Scores) -> npt.NDArray[np.float64]:
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    return np.asarray(below / len(scores))


def _nearest_to_half(candidates: Scores, merits: npt.NDArray[np.float64]) -> float:
    best = candidates[np.isclose(merits, merits.max())]
    return float(best[np.argmin(np.abs(best - 0.5))])


def _needed(rate: float) -> int:
    """With fewer real clips than this, a single false alarm is above the rate already."""
    return math.ceil(1.0 / rate)
