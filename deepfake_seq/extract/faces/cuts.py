"""Detection of cuts between shots: a pure function of sampled frames."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

_MAX_CHANGE = 0.5
"""Largest difference in colours, 0 to 1, between two frames of the same shot."""

_EDGE = 64
"""Approximate number of pixels per side of the images that are compared."""


def find_cuts(images_rgb: Sequence[npt.NDArray[np.uint8]]) -> frozenset[int]:
    """Find the frames that begin a new shot.

    Sampled frames can be a second apart, so motion is no evidence, but colours change little within
    a shot. The difference of two images is the fraction of pixels whose colours (8 levels per
    channel) are not in the other image. A change of the frame size also begins a new shot, because
    positions in frames of different sizes cannot be compared.

    Args:
        images_rgb: uint8 (H, W, 3) each, in chronological order.

    Returns:
        Positions from 1 to T - 1.
    """
    colours = [_colours(image) for image in images_rgb]
    sizes = [image.shape for image in images_rgb]
    return frozenset(
        position
        for position, (before, after) in enumerate(pairwise(colours), 1)
        if np.abs(before - after).sum() / 2 > _MAX_CHANGE or sizes[position - 1] != sizes[position]
    )


def _colours(image_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return the fraction of pixels of each colour, float64 (512,)."""
    height, width = image_rgb.shape[:2]
    small = image_rgb[:: max(height // _EDGE, 1), :: max(width // _EDGE, 1)].astype(np.int64) >> 5
    codes = (small[..., 0] << 6 | small[..., 1] << 3 | small[..., 2]).ravel()
    return np.bincount(codes, minlength=512) / codes.size
