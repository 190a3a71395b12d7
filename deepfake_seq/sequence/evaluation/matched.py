"""Error rates under the conditions of one clip, from clips that were made to look like it.

A table contains the scores of validation clips under a grid of face sizes, compressions and blurs,
with the conditions that were measured in each distorted clip. For another clip, the score that each
validation clip would have under its conditions is interpolated between the versions of that clip
near them, by local linear regression of the logits (Fan and Gijbels, 1996). Measured conditions,
unlike the cells of the grid, respect that clips differ before they are distorted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.sequence.evaluation.metrics import Labels, Scores
from deepfake_seq.sequence.evaluation.rates import (
    Rate,
    effective_groups,
    rate_ratio,
    wilson,
)
from deepfake_seq.sequence.evaluation.threshold import Decision, choose_threshold

MIN_GROUPS = 20
"""Number of groups of real clips below which the conditions change no verdict."""

CONDITIONS = ("face_pixels", "sharpness", "blockiness")
"""The conditions that are compared, in the order of the columns."""

_REACH = np.array([1.0, 1.5, 1.5])
"""Distance in octaves at which the weight of a version is 0."""

_EDGE = 0.25
"""Distance in octaves from the conditions in a table beyond which a clip is outside of it."""

_RIDGE = 0.01
"""Penalty of the slopes, so that they are 0 where the versions of a clip do not determine them."""

_BLOCKINESS_FLOOR = 0.05  # as much as uncompressed pictures have
_SHARPNESS_FLOOR = 0.002

_COMPRESSION = ((0.12, "light compression"), (0.25, "moderate compression"))
_BLURRED = 0.012

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ComparedClips:
    """Clips of one class that were made to look like the clip, and how many score as high.

    Attributes:
        clips: Number of clips with a version near the conditions of the clip.
        groups: Number of groups (people or sources) of these clips.
        rate: Fraction of them that score at least as high, with its 95 % interval; None without
            comparable clips.
    """

    clips: int
    groups: int
    rate: Rate | None


@dataclass(frozen=True)
class MatchedRates:
    """Error rates of a run under the conditions of one clip.

    Attributes:
        conditions: The conditions of the clip that were compared.
        reason: Why there are no comparable clips; "" if there are.
        real: Real clips that were made to look like the clip.
        fake: Fake clips that were made to look like it.
        ratio: Rate of the fakes divided by the rate of the real clips; None if one is unknown.
        real_ratio: Fraction of the real clips that score lower, divided by that of the fakes; None
            if one is unknown.
        threshold: Threshold under these conditions.
        band: Abstention band under these conditions.
        decides: Whether the verdict follows from these clips. If not, they only inform.
    """

    conditions: dict[str, float]
    reason: str
    real: ComparedClips
    fake: ComparedClips
    ratio: Rate | None
    real_ratio: Rate | None
    threshold: float
    band: tuple[float, float]
    decides: bool

    @property
    def sentence(self) -> str:
        """The rates in words."""
        if self.reason:
            return f"No comparable clips ({self.reason})."
        text = (
            f"Of {_count(self.real.clips, 'real clip')} made to look like this one "
            f"({self._described}), {_percent(self.real.rate)} score this high"
        )
        if self.fake.rate is not None and self.ratio is not None:
            low, high = _short(self.ratio.low), _short(self.ratio.high)
            text += (
                f"; of {_count(self.fake.clips, 'fake')} {_percent(self.fake.rate)}: the ratio of "
                f"these rates is {_short(self.ratio.value)} ({low}–{high})"
            )
        informs = "" if self.decides else " These clips are too few to change the verdict."
        return f"{text}.{informs}"

    @property
    def _described(self) -> str:
        blockiness = self.conditions["blockiness"]
        words = [name for limit, name in _COMPRESSION if blockiness < limit]
        compression = words[0] if words else "strong compression"
        blurred = ", blurred" if self.conditions["sharpness"] < _BLURRED else ""
        return f"{self.conditions['face_pixels']:.0f} px face, {compression}{blurred}"


@dataclass(frozen=True, eq=False)
class ConditionTable:
    """Scores of N validation clips in R versions, with the measured conditions of each.

    Attributes:
        labels: (N,); 1 = fake, 0 = real.
        unit: (N,); number of the group of each clip; see `intervals.units`.
        unchanged: (N,); score of each clip as it is.
        clip: (R,); position of the clip of each version, the unchanged ones included.
        scores: (R,); calibrated probability of fake of each version.
        conditions: (R, 3); the `CONDITIONS` of each version.
    """

    labels: Labels
    unit: Ints
    unchanged: Scores
    clip: Ints
    scores: Scores
    conditions: Floats

    @property
    def decides(self) -> bool:
        """Whether there are enough real clips for the table to change verdicts."""
        return len(np.unique(self.unit[self.labels == REAL])) >= MIN_GROUPS

    def rates(
        self, conditions: Mapping[str, float], score: float, decision: Decision
    ) -> MatchedRates:
        """Return the error rates under the conditions of a clip.

        With fewer than `MIN_GROUPS` effective groups of a class, its rates are mixed with those of
        the unchanged clips: G groups count G in `MIN_GROUPS` parts.

        Args:
            conditions: Conditions of the clip, with at least `CONDITIONS`.
            score: Score of the clip.
            decision: Rule and target of the run.
        """
        measured = {name: float(conditions[name]) for name in CONDITIONS}
        place = _place(np.array([[measured[name] for name in CONDITIONS]]))[0]
        near = self._weights(place)
        by_clip = np.zeros(len(self.labels))
        np.maximum.at(by_clip, self.clip, near)
        scores = self._interpolated(place, near)
        reason = self._reason(measured, by_clip)
        real, fake = (self._compared(label, by_clip, scores, score) for label in (REAL, FAKE))
        if reason:
            real, fake = (replace(compared, rate=None) for compared in (real, fake))
        matched = MatchedRates(
            measured,
            reason,
            real,
            fake,
            *self._ratios(real, fake, by_clip),
            decision.threshold,
            decision.band,
            self.decides,
        )
        if reason or not self.decides:
            return matched
        labels, scores, weights = self._mixture(by_clip, scores)
        threshold, band = choose_threshold(
            labels, scores, weights, decision.rule, decision.target_fpr
        )
        return replace(matched, threshold=threshold, band=band)

    @cached_property
    def _places(self) -> Floats:
        return _place(self.conditions)

    def _weights(self, place: Floats) -> Floats:
        """Return the weight of each version, 1 at the place and 0 beyond reach, (R,)."""
        distance = np.abs(self._places - place) / _REACH
        return np.asarray(np.clip(1 - distance, 0, None).prod(axis=1))

    def _interpolated(self, place: Floats, near: Floats) -> Scores:
        """Return the score of each clip under the conditions at `place`, (N,).

        The logits of a clip are fitted by a linear function of the conditions, weighted by `near`.
        The result is limited to the range of these logits, so that it does not extrapolate.
        """
        used, clips = np.flatnonzero(near), len(self.labels)
        offsets = (self._places[used] - place) / _REACH
        terms = np.column_stack([np.ones(len(used)), offsets])
        clip, logits, weighted = self.clip[used], self._logits[used], near[used, None] * terms
        normal, right = np.zeros((clips, 4, 4)), np.zeros((clips, 4))
        np.add.at(normal, clip, weighted[:, :, None] * terms[:, None, :])
        np.add.at(right, clip, weighted * logits[:, None])
        normal += np.maximum(normal[:, :1, :1], 1e-12) * np.diag([1e-9, _RIDGE, _RIDGE, _RIDGE])
        fitted = np.linalg.solve(normal, right[..., None])[:, 0, 0]
        low, high = np.full(clips, np.inf), np.full(clips, -np.inf)
        np.minimum.at(low, clip, logits)
        np.maximum.at(high, clip, logits)
        limited = np.where(high >= low, np.clip(fitted, low, np.maximum(high, low)), 0.0)
        return np.asarray(1 / (1 + np.exp(-limited)))

    @cached_property
    def _logits(self) -> Floats:
        scores = np.clip(self.scores, 1e-9, 1 - 1e-9)
        return np.asarray(np.log(scores / (1 - scores)))

    def _share(self, label: int, by_clip: Floats) -> float:
        """Return the share of matched clips in the rates of a class; the rest are unchanged."""
        weights = np.where(self.labels == label, by_clip, 0.0)
        return min(effective_groups(self.unit, weights) / MIN_GROUPS, 1.0)

    def _compared(
        self, label: int, by_clip: Floats, interpolated: Scores, score: float
    ) -> ComparedClips:
        chosen = (self.labels == label) & (by_clip > 0)
        groups = len(np.unique(self.unit[chosen]))
        if not groups:
            return ComparedClips(0, 0, None)
        labels, scores, weights = self._mixture(by_clip, interpolated)
        of_class = labels == label
        value = float(np.average(scores[of_class] >= score, weights=weights[of_class]))
        observations = effective_groups(self.unit, np.where(chosen, by_clip, 0.0))
        return ComparedClips(int(chosen.sum()), groups, wilson(min(value, 1.0), observations))

    def _mixture(self, by_clip: Floats, interpolated: Scores) -> tuple[Labels, Scores, Floats]:
        """Return labels, scores and weights of the clips under the conditions, and unchanged."""
        matched, unchanged = by_clip.copy(), np.ones(len(self.labels))
        for label in (REAL, FAKE):
            share, chosen = self._share(label, by_clip), self.labels == label
            matched[chosen] *= share / max(matched[chosen].sum(), 1e-300)
            unchanged[chosen] *= (1 - share) / max(unchanged[chosen].sum(), 1e-300)
        return (
            np.tile(self.labels, 2),
            np.concatenate([interpolated, self.unchanged]),
            np.concatenate([matched, unchanged]),
        )

    def _ratios(
        self, real: ComparedClips, fake: ComparedClips, by_clip: Floats
    ) -> tuple[Rate | None, Rate | None]:
        if real.rate is None or fake.rate is None:
            return None, None
        of_fake, of_real = (
            effective_groups(self.unit, np.where(self.labels == label, by_clip, 0.0))
            for label in (FAKE, REAL)
        )
        return (
            rate_ratio(fake.rate, of_fake, real.rate, of_real),
            rate_ratio(real.rate.complement, of_real, fake.rate.complement, of_fake),
        )

    def _reason(self, conditions: Mapping[str, float], by_clip: Floats) -> str:
        """Return what is missing for a comparison; "" if nothing is."""
        real = self.labels == REAL
        of_real = real[self.clip]
        place = _place(np.array([[conditions[name] for name in CONDITIONS]]))[0]
        for column, name in enumerate(CONDITIONS):
            known = self._places[of_real, column]
            low, high = known.min(initial=np.inf), known.max(initial=-np.inf)
            if not low - _EDGE < place[column] < high + _EDGE:
                values = self.conditions[of_real, column]
                return _outside(name, conditions[name], values)
        groups = len(np.unique(self.unit[real & (by_clip > 0)]))
        if groups >= MIN_GROUPS or (groups and not self.decides):
            return ""
        return (
            f"only {groups} groups of real clips have similar conditions; at least {MIN_GROUPS} "
            "are needed"
        )


def distance_of(one: Mapping[str, float], other: Mapping[str, float]) -> Floats:
    """Return the distances of two clips in the `CONDITIONS`, (3,); 1 is out of reach."""
    first, second = _place(
        np.array([[conditions[name] for name in CONDITIONS] for conditions in (one, other)])
    )
    return np.asarray(np.abs(first - second) / _REACH)


def _outside(name: str, value: float, known: Floats) -> str:
    if not len(known):
        return "the table has no real clips"
    low, high = float(known.min()), float(known.max())
    if name == "face_pixels":
        return f"the face is {value:.0f} pixels wide; the table covers {low:.0f} to {high:.0f}"
    return f"its {name} is {value:.3g}; the table covers {low:.3g} to {high:.3g}"


def _place(conditions: npt.NDArray[Any]) -> Floats:
    """Return conditions (R, 3) in octaves."""
    floors = np.array([1.0, _SHARPNESS_FLOOR, 0.0])
    offset = np.array([0.0, 0.0, _BLOCKINESS_FLOOR])
    return np.asarray(np.log2(np.maximum(conditions, floors) + offset), dtype=np.float64)


def _percent(rate: Rate | None) -> str:
    if rate is None:
        return "an unknown fraction"
    value, low, high = (100 * part for part in (rate.value, rate.low, rate.high))
    return f"{value:.0f} % ({low:.0f}–{high:.0f} %)"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 9.5 else f"{value:.1f}" if value >= 0.95 else f"{value:.2f}"
