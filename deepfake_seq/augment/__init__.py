"""What training is shown beside the clips themselves: pure functions of crops and a generator.

Whatever is drawn is drawn once for a clip, so that nothing jumps from frame to frame.
"""

from deepfake_seq.augment.blending import self_blend
from deepfake_seq.augment.crops import Crops, Images
from deepfake_seq.augment.degradation import degrade
from deepfake_seq.augment.view import IDENTITY, Draw, apply_view, draw_view

RANGES_VERSION = 2
"""To be raised by whatever gives other pixels for the same seed; records made before it are then
made anew."""

__all__ = [
    "IDENTITY",
    "RANGES_VERSION",
    "Crops",
    "Draw",
    "Images",
    "apply_view",
    "degrade",
    "draw_view",
    "self_blend",
]
