"""Augmentation of training clips: pure functions of crops and a random generator.

Random values are drawn once per clip, so that they do not change from frame to frame.
"""

from deepfake_seq.augment.blending import (
    apply_blend,
    blended_shares,
    draw_blend,
    self_blend,
)
from deepfake_seq.augment.crops import Crops, Images
from deepfake_seq.augment.degradation import degrade
from deepfake_seq.augment.view import IDENTITY, Draw, apply_view, draw_view, landmarks_in_view

RANGES_VERSION = 2
"""Version of the augmentations. Increase it with every change that gives other pixels for the same
seed, so that older records are made again."""

__all__ = [
    "IDENTITY",
    "RANGES_VERSION",
    "Crops",
    "Draw",
    "Images",
    "apply_blend",
    "apply_view",
    "blended_shares",
    "degrade",
    "draw_blend",
    "draw_view",
    "landmarks_in_view",
    "self_blend",
]
