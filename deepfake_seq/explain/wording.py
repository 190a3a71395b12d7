"""Levels of support, contributions, and the parts of the face in words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from deepfake_seq.face_regions import REGIONS
from deepfake_seq.support import LEVELS

BLOCK_NAMES = {"regions": "texture", "residual": "noise", "ela": "compression"}
"""What the evidence blocks with regions measure."""

REGION_NAMES = {name: name for name in REGIONS} | {"ring": "edge of the face"}
"""What the regions are called in reports."""

FAINT = 0.05
"""Contribution to the log-odds, about 5 % of the odds, below which a region is not named."""

_STANDS_OUT = 1.5
"""A region is named if its contribution is at least this multiple of the median of the others."""


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


def region_summary(contributions: Mapping[str, float]) -> str:
    """Return which region stands out, in a sentence.

    Args:
        contributions: Contribution to the log-odds of each region; empty without maps.
    """
    if not contributions:
        return ""
    regions = sorted(contributions.items(), key=lambda item: -item[1])
    region, value = regions[0]
    name = REGION_NAMES[region]
    if value < FAINT:
        return "No region speaks for fake: covering any of them hardly lowers the score."
    if value < _STANDS_OUT * statistics.median(other for _, other in regions[1:]):
        return (
            "No region stands out: covering any of them lowers the score. The model reacts to the "
            "whole face, or to the covers."
        )
    return (
        f"The part that speaks most for fake: {name}. With it covered, the odds of fake would be "
        f"lower by a factor of {math.exp(min(value, 50.0)):.2f}."
    )
