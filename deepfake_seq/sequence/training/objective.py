"""What a trainer minimises: the loss, and the clips of one step."""

from __future__ import annotations

from dataclasses import dataclass

from deepfake_seq.sequence.data.features import Tensor
from deepfake_seq.sequence.data.preprocessing import Inputs

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


@dataclass(frozen=True, eq=False)
class TrainingBatch:
    """The clips of one optimizer step.

    Attributes:
        inputs: Inputs of B clips.
        targets: float32 (B,); 1 = fake, 0 = real.
        weights: Weight of each clip in the loss, float32 (B,).
        size: Divisor of the summed loss, at least B, so that a clip in a smaller last batch has the
            same weight as in any other.
        shares: Replaced share of each face region, float32 (B, 6), with NaN if unknown; None
            without a second output.
    """

    inputs: Inputs
    targets: Tensor
    weights: Tensor
    size: int
    shares: Tensor | None = None
