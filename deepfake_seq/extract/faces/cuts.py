"""Where one shot ends and another begins: a pure function of sampled frames."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

_MAX_CHANGE = 0.5
"""Frames that share less than half of their colours are of two shots."""

_EDGE = 64


def find_cuts(images_rgb: Sequence[npt.NDArray[np.uint8]]) -> frozenset[int]:
    """The frames that begin a new shot.

    Sampled frames can be a second apart, so motion says nothing; the colours of a shot change
    little. Two images are compared by the share of pixels whose colours (8 levels a channel) the
    other has not.

    Args:
        images_rgb: uint8 (H, W, 3) each, in order of time.

    Returns:
        Positions from 1 to T - 1.
    """
    colours = [_colours(image) for image in images_rgb]
    return frozenset(
        position
        for position, (before, after) in enumerate(pairwise(colours), 1)
        if np.abs(before - after).sum() / 2 > _MAX_CHANGE
    )


def _colours(image_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """float64 (512,): the share of pixels of each colour."""
    height, width = image_rgb.shape[:2]
    small = image_rgb[:: max(height // _EDGE, 1), :: max(width // _EDGE, 1)].astype(np.int64) >> 5
    codes = (small[..., 0] << 6 | small[..., 1] << 3 | small[..., 2]).ravel()
    return np.bincount(codes, minlength=512) / codes.size
