"""Rates of grouped clips, such as a false-positive rate, with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_Z = 1.959963984540054
"""Quantile of the normal distribution for an interval of 95 %."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rate:
    """A fraction of clips, or a ratio of two, with its 95 % interval.

    Attributes:
        value: The fraction, 0 to 1, or the ratio.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    value: float
    low: float
    high: float

    @property
    def complement(self) -> Rate:
        """The fraction of the other clips."""
        return Rate(1 - self.value, 1 - self.high, 1 - self.low)


def grouped_rate(hits: npt.ArrayLike, unit: Ints, weights: Floats | None = None) -> Rate | None:
    """Return the fraction of hits among clips, with an interval that respects groups.

    The interval is Wilson's (1927) for as many observations as there are groups, as if all clips of
    a group were copies of one another. It is too wide rather than too narrow.

    Args:
        hits: (N,); whether each clip is a hit, or a fraction from 0 to 1.
        unit: (N,); number of the group of each clip; see `intervals.units`.
        weights: (N,); weight of each clip; by default 1.

    Returns:
        None if no clip has a weight.
    """
    values = np.asarray(hits, dtype=np.float64)
    weight = np.ones(len(values)) if weights is None else weights
    if not weight.sum() > 0:
        return None
    value = float(np.average(values, weights=weight))
    return wilson(value, effective_groups(unit, weight))


def effective_groups(unit: Ints, weights: Floats) -> float:
    """Return the number of groups of equal weight that carry as much information (Kish, 1965)."""
    by_group = np.bincount(unit, weights=weights) if len(unit) else np.zeros(1)
    squares = float((by_group**2).sum())
    return float(by_group.sum()) ** 2 / squares if squares > 0 else 0.0


def wilson(value: float, observations: float) -> Rate:
    """Return Wilson's 95 % interval of a fraction.

    Args:
        value: The fraction, 0 to 1.
        observations: Number of independent observations; need not be whole.
    """
    spread = _Z**2 / observations
    centre = (value + spread / 2) / (1 + spread)
    half = math.sqrt(value * (1 - value) * spread + spread**2 / 4) / (1 + spread)
    return Rate(value, max(min(centre - half, value), 0.0), min(max(centre + half, value), 1.0))


def rate_ratio(one: Rate, groups_one: float, other: Rate, groups_other: float) -> Rate:
    """Return the ratio of two rates with its 95 % interval.

    Katz's interval of the logarithm (1978), for as many observations as there are groups. Half an
    observation is added to both outcomes, so that a rate of 0 gives a finite ratio.

    Args:
        one: The rate above the line.
        groups_one: Number of groups that it is based on.
        other: The rate below the line.
        groups_other: Number of groups that it is based on.
    """
    upper = (one.value * groups_one + 0.5) / (groups_one + 1)
    lower = (other.value * groups_other + 0.5) / (groups_other + 1)
    error = math.sqrt(
        (1 - upper) / (upper * (groups_one + 1)) + (1 - lower) / (lower * (groups_other + 1))
    )
    ratio = upper / lower
    return Rate(ratio, ratio * math.exp(-_Z * error), ratio * math.exp(_Z * error))
