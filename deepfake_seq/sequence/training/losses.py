"""The focal loss on logits: Lin et al., "Focal loss for dense object detection" (2017), equation 4.

The alpha of equation 5 depends on the training set, so it is applied as a weight of each clip
(`Balance.weights`). This equals Keras's `apply_class_balancing` with the same alpha.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deepfake_seq.backend import load_keras
from deepfake_seq.sequence.data.features import Tensor
from deepfake_seq.sequence.models.cells import sigmoid


def focal_losses(targets: Tensor, logits: Tensor, gamma: float) -> Tensor:
    """Return the loss of each clip, float32 (N,).

    Args:
        targets: float32 (N,); 1 = fake, 0 = real.
        logits: float32 (N,).
        gamma: Focusing parameter: the larger, the less easy clips count; 0 is cross-entropy.
    """
    true_logits = _true_class_logits(targets, logits)
    return np.asarray(sigmoid(-true_logits) ** np.float32(gamma) * np.logaddexp(0, -true_logits))


def focal_gradient(targets: Tensor, logits: Tensor, gamma: float) -> Tensor:
    """Return the derivative of each clip's loss by its logit, float32 (N,)."""
    true_logits = _true_class_logits(targets, logits)
    p_other, p_true = sigmoid(-true_logits), sigmoid(true_logits)
    by_true_logit = -(p_other ** np.float32(gamma)) * (
        np.float32(gamma) * p_true * np.logaddexp(0, -true_logits) + p_other
    )
    return np.asarray(by_true_logit * (2 * targets - 1))


def mask_losses(shares: Tensor, logits: Tensor) -> Tensor:
    """Return the binary cross-entropy of each clip, the mean over the face regions, float32 (N,).

    Args:
        shares: Replaced share of each region, float32 (N, 6); NaN if unknown, with a loss of 0.
        logits: float32 (N, 6).
    """
    losses = np.logaddexp(0, logits) - np.nan_to_num(shares) * logits
    return np.asarray(np.where(np.isnan(shares), 0, losses).mean(axis=1))


def mask_gradient(shares: Tensor, logits: Tensor) -> Tensor:
    """Return the derivative of each clip's `mask_losses` by its logits, float32 (N, 6)."""
    difference = (sigmoid(logits) - shares) / np.float32(shares.shape[1])
    return np.asarray(np.where(np.isnan(shares), 0, difference))


def keras_mask_loss() -> Any:
    """Return the same loss as a Keras loss, of known shares."""
    return load_keras().losses.BinaryCrossentropy(from_logits=True)


def keras_focal_loss(gamma: float) -> Any:
    """Return the same loss as a Keras loss."""
    return load_keras().losses.BinaryFocalCrossentropy(gamma=gamma, from_logits=True)


def _true_class_logits(targets: Tensor, logits: Tensor) -> Tensor:
    """Return the logit of the true class of each clip."""
    return np.asarray(logits * (2 * targets - 1), dtype=np.float32)
