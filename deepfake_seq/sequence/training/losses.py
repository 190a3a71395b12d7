"""The focal loss on logits: Lin et al., "Focal loss for dense object detection" (2017), equation 4.

The alpha of equation 5 differs from one training to the next. It comes as the weight of each clip
(`Balance.weights`): the same as `apply_class_balancing` in a loss that is told it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deepfake_seq.backend import load_keras
from deepfake_seq.sequence.data.features import Tensor
from deepfake_seq.sequence.models.cells import sigmoid


def focal_losses(targets: Tensor, logits: Tensor, gamma: float) -> Tensor:
    """The loss of each clip, float32 (N,).

    Args:
        targets: (N,); 1 is fake, 0 real.
        logits: (N,).
        gamma: How strongly clips that are easy already are played down; 0 turns that off.
    """
    sure = _sureness(targets, logits)
    return np.asarray(sigmoid(-sure) ** np.float32(gamma) * np.logaddexp(0, -sure))


def focal_gradient(targets: Tensor, logits: Tensor, gamma: float) -> Tensor:
    """The derivative of each clip's loss by its logit, float32 (N,)."""
    sure = _sureness(targets, logits)
    wrong, right = sigmoid(-sure), sigmoid(sure)
    by_sureness = -(wrong ** np.float32(gamma)) * (
        np.float32(gamma) * right * np.logaddexp(0, -sure) + wrong
    )
    return np.asarray(by_sureness * (2 * targets - 1))


def keras_focal_loss(gamma: float) -> Any:
    """The same as a Keras loss."""
    return load_keras().losses.BinaryFocalCrossentropy(gamma=gamma, from_logits=True)


def _sureness(targets: Tensor, logits: Tensor) -> Tensor:
    """The logit of the right class."""
    return np.asarray(logits * (2 * targets - 1), dtype=np.float32)
