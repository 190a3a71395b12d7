"""What a report says in words of verdicts, their strength, and the parts of the face."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from deepfake_seq.explain.clip_report import ClipReport
from deepfake_seq.explain.support import LEVELS, Support, rounded
from deepfake_seq.verdict import FAKE, INCONCLUSIVE, REAL

FAINT = 0.05
"""Contribution to the log-odds, about 5 % of the odds, below which a region is not named."""

_STANDS_OUT = 1.5
"""A region is named if its contribution is at least this multiple of the median of the others."""


def headline(report: ClipReport) -> str:
    """Return the verdict in a few words, such as `Fake: moderate support`."""
    kind = report.verdict.verdict
    if kind == INCONCLUSIVE:
        return "Inconclusive: no verdict"
    name = {FAKE: "Fake", REAL: "Real"}[kind]
    if report.support is None:
        return f"{name}: strength unknown"
    return f"{name}: {report.support.level} support"


def support_sentences(report: ClipReport) -> Iterator[str]:
    """Yield what the strength of the verdict means."""
    support = report.support
    if support is not None:
        yield support_sentence(support, "the score")
        if support.is_capped:
            yield (
                f"The level is that of a ratio of {support.cap}: the run was validated on "
                f"{support.cap - 1} {_other(support)} clips, which cannot show more."
            )
    elif report.verdict.verdict != INCONCLUSIVE:
        yield (
            "How strongly the score supports this is unknown: there were no fakes among the clips "
            "on which the run was validated."
        )


def level_sentences() -> tuple[str, ...]:
    """Return the levels of support and their ratios."""
    below, rows = 1.0, []
    for high, name in LEVELS:
        limit = f"{below:g} to {high:g}" if math.isfinite(high) else f"{below:g} or more"
        rows.append(f"{name}: {limit if below > 1 else f'below {high:g}'}")
        below = high
    return tuple(rows)


def percent(rate: float | None) -> str:
    """Format a fraction such as `14 %`."""
    return "–" if rate is None else f"{100 * rate:.0f} %"


def factor(log_odds: float) -> str:
    """Format a contribution as the factor that it adds to the odds of fake, such as `× 1.35`."""
    value = math.exp(max(min(log_odds, 50.0), -50.0))
    return f"× {value:.2f}" if 0.01 <= value < 100 else f"× {value:.1e}"


def support_sentence(support: Support, subject: str) -> str:
    """Return how strongly a score, called `subject`, supports a verdict."""
    return (
        f"{support.level.capitalize()} support for “{support.hypothesis}”: by the calibration, "
        f"{subject} is {rounded(support.ratio)} times as common among {support.hypothesis} as "
        f"among {_other(support)} clips of the kind that the run was validated on."
    )


def _other(support: Support) -> str:
    return REAL if support.hypothesis == FAKE else FAKE


def region_summary(regions: Sequence[tuple[str, float]]) -> str:
    """Return which region stands out, in a sentence.

    Args:
        regions: Name and contribution to the log-odds of each region, the largest first; empty
            without maps.
    """
    if not regions:
        return ""
    name, value = regions[0]
    if value < FAINT:
        return "No region speaks for fake: covering any of them hardly lowers the score."
    if value < _STANDS_OUT * statistics.median(other for _, other in regions[1:]):
        return (
            "No region stands out: covering any of them lowers the score. The model reacts to the "
            "whole face, or to the covers."
        )
    return (
        f"The {name} speaks most for fake: with the {name} covered, the odds of fake would be "
        f"lower by a factor of {math.exp(min(value, 50.0)):.2f}."
    )
