"""The class-balanced focal loss, with its balance taken from the class counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.backend import load_keras
from deepfake_seq.datasets import REAL


def focal_alpha(labels: npt.NDArray[np.int64]) -> float:
    """The weight of the class fake (label 1) that makes both classes count the same.

    The focal loss weighs fake clips by alpha and real ones by 1 - alpha. With alpha equal to the
    share of *real* clips, the summed weights of the two classes are equal: the rarer a class, the
    heavier each of its clips.

    Args:
        labels: (N,); 1 = fake, 0 = real.
    """
    return float((labels == REAL).mean())


def focal_loss(alpha: float, gamma: float) -> Any:
    """Lin et al., "Focal loss for dense object detection" (2017), equation 5, on logits.

    Args:
        alpha: The weight of the class fake.
        gamma: How strongly clips that are easy already are played down; 0 turns that off.
    """
    keras = load_keras()

    return keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=True, alpha=alpha, gamma=gamma, from_logits=True
    )
