"""What a trainer minimises."""

from __future__ import annotations

from dataclasses import dataclass

MASK_WEIGHT = 0.3
"""Weight of the second output's loss with `--auxiliary masks`."""


@dataclass(frozen=True)
class Objective:
    """What a trainer minimises, and how fast.

    Attributes:
        gamma: Focusing parameter of the focal loss.
        learning_rate: Step size of Adam.
        wide_l2: Factor of the sum of the wide part's squared weights.
        mask_weight: Weight of the loss of the second output, which predicts the replaced shares of
            the face regions; 0 if there is no second output.
    """

    gamma: float
    learning_rate: float
    wide_l2: float = 0.0
    mask_weight: float = 0.0
