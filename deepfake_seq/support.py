"""How strongly a score supports a verdict, in words tied to a likelihood ratio.

If `deepseq stress` has measured the error rates of the run under the conditions of the clip, and
they decide its verdict, the ratio is that of the rates: how many times as often fakes that were
made to look like the clip score at least as high as such real clips. For a real verdict, it is how
many times as often real clips score lower than fakes.

Otherwise, the ratio is the odds of the score. The calibration gives both classes the same total
weight, so these are a likelihood ratio, too: how many times as common the score is among the fakes
as among the real clips of the validation data.

Forensic reports grade such ratios in words (ENFSI guideline for evaluative reporting in forensic
science, 2015; the four levels here merge some of its grades). No set of N clips can show that
something happens less often than about once in N + 1 clips, so the ratio is capped by the number of
validation clips of the other class, plus 1; in the first case, by the number of their groups. An
interval of the ratio that includes 1 gives no support.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from deepfake_seq.sequence.evaluation.matched import MatchedRates
from deepfake_seq.sequence.evaluation.threshold import Decision
from deepfake_seq.verdict import FAKE, REAL

NO, WEAK, MODERATE, STRONG = "no", "weak", "moderate", "strong"

LEVELS = ((2.0, NO), (10.0, WEAK), (100.0, MODERATE), (math.inf, STRONG))
"""Ratio below which each level applies."""

CALIBRATION, MATCHED = "calibration", "matched"


@dataclass(frozen=True)
class Support:
    """How strongly a score supports that a clip is real or fake.

    Attributes:
        hypothesis: `real` or `fake`, whichever the verdict is.
        level: `no`, `weak`, `moderate` or `strong`.
        ratio: How many times as common the score is in clips of this kind as in the others.
        capped_ratio: The ratio that gives the level, at most `cap`.
        cap: Number of validation clips of the other class, plus 1; of their groups if the basis is
            `matched`.
        basis: `calibration` if the ratio is the calibrated odds, `matched` if it is that of the
            rates under the conditions of the clip.
        interval: 95 % interval of the ratio; None if the basis is `calibration`.
    """

    hypothesis: str
    level: str
    ratio: float
    capped_ratio: float
    cap: int
    basis: str = CALIBRATION
    interval: tuple[float, float] | None = None

    @property
    def is_capped(self) -> bool:
        """Whether there are too few validation clips for the ratio."""
        return self.ratio > self.cap


def support_of(
    verdict: str, log_odds: float, decision: Decision, matched: MatchedRates | None = None
) -> Support | None:
    """Return the support for a verdict.

    Args:
        verdict: `real`, `fake` or `inconclusive`.
        log_odds: Calibrated log-odds of fake.
        decision: The validation clips of the run.
        matched: Error rates under the conditions of the clip, if they were measured.

    Returns:
        None if the verdict is inconclusive, or the scores are no calibrated probabilities because
        there were no fakes among the validation clips.
    """
    if verdict not in (REAL, FAKE) or not decision.knows_fakes:
        return None
    if matched is not None and matched.decides:
        other, rates = (
            (matched.real, matched.ratio) if verdict == FAKE else (matched.fake, matched.real_ratio)
        )
        if rates is not None:
            return _graded(verdict, rates.value, 1 + other.groups, MATCHED, (rates.low, rates.high))
    ratio = math.exp(min(log_odds if verdict == FAKE else -log_odds, 700.0))
    cap = 1 + (decision.clips["real"] if verdict == FAKE else decision.clips["fake"])
    return _graded(verdict, ratio, cap, CALIBRATION, None)


def _graded(
    verdict: str, ratio: float, cap: int, basis: str, interval: tuple[float, float] | None
) -> Support:
    capped = min(ratio, float(cap))
    level = next(name for below, name in LEVELS if capped < below)
    if interval and interval[0] <= 1:
        level = NO
    return Support(verdict, level, ratio, capped, cap, basis, interval)


def rounded(ratio: float) -> str:
    """Format a ratio with two significant digits, such as `6.3`, `160` or `1,000,000 or more`."""
    if ratio >= 1e6:
        return "1,000,000 or more"
    if ratio < 10:
        return f"{ratio:.2g}"
    return f"{float(f'{ratio:.2g}'):,.0f}"
