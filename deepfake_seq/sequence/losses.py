"""The focal loss."""

from __future__ import annotations

from typing import Any

from deepfake_seq.backend import load_keras


def focal_loss(gamma: float) -> Any:
    """Lin et al., "Focal loss for dense object detection" (2017), equation 4, on logits.

    The alpha of equation 5 differs from one training to the next. It comes as the weight of each
    clip (`Balance.weights`): the same as `apply_class_balancing` in a loss that is told it.

    Args:
        gamma: How strongly clips that are easy already are played down; 0 turns that off.
    """
    return load_keras().losses.BinaryFocalCrossentropy(gamma=gamma, from_logits=True)
