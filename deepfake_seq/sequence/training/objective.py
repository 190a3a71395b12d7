"""What a trainer minimises."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Objective:
    """What a trainer minimises, and how fast.

    Attributes:
        gamma: Focusing parameter of the focal loss.
        learning_rate: Step size of Adam.
        wide_l2: Factor of the sum of the wide part's squared weights.
    """

    gamma: float
    learning_rate: float
    wide_l2: float = 0.0
