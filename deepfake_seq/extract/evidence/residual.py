"""Noise residuals of a crop: what high-pass filters leave of it, as an image for the CNN.

The filters are three of those in Jessica Fridrich and Jan Kodovský, "Rich Models for Steganalysis
of Digital Images", IEEE TIFS 7(3), 2012, the three that Zhou et al., "Learning Rich Features for
Image Manipulation Detection", CVPR 2018, chose for forged images and Luo et al., "Generalizing Face
Forgery Detection with High-frequency Features", CVPR 2021, for forged faces. The latter limit the
residuals to ±3, as here. Both papers filter the sum of the colour channels; here it is the luma
(ITU-R BT.601), which video codecs keep at full resolution.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from deepfake_seq.extract.faces import resize_square

VERSION = 1
"""Must be increased when a change of this module changes the residuals."""

LIMIT = 3
"""Largest residual, in grey levels of 256; larger ones, at edges of the picture, are clipped."""

_KERNELS = (
    ([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]], 4),
    (
        [
            [-1, 2, -2, 2, -1],
            [2, -6, 8, -6, 2],
            [-2, 8, -12, 8, -2],
            [2, -6, 8, -6, 2],
            [-1, 2, -2, 2, -1],
        ],
        12,
    ),
    ([[1, -2, 1]], 2),
)
"""Kernels in whole numbers, each with its divisor: two predict a pixel from its neighbours in a
square of 3×3 and 5×5 pixels, one from those to the left and right."""

ZERO = 128
"""Pixel value of a residual of 0; ±`LIMIT` is 1 and 255."""


def residual_image(square_rgb: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Return the noise residuals of a crop as an image of the CNN's input size.

    The luma is filtered at the crop's native size, because resizing removes the noise. Its border
    is mirrored. The residuals r of each kernel are clipped to ±`LIMIT`, stored as
    128 + round(127 r / `LIMIT`), and resized like the crop itself. All steps up to the resizing are
    exact in whole numbers.

    Args:
        square_rgb: uint8 (side, side, 3); the crop at its native size.
        size: Side of the result in pixels.

    Returns:
        uint8 (size, size, 3); one channel per kernel.
    """
    luma = np.asarray(cv2.cvtColor(square_rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    channels = cv2.merge([_filtered(luma, *kernel) for kernel in _KERNELS])
    return resize_square(np.asarray(channels, dtype=np.uint8), size)


def _filtered(
    luma: npt.NDArray[np.uint8], kernel: list[list[int]], divisor: int
) -> npt.NDArray[np.uint8]:
    """Return the residuals of one kernel as pixel values: uint8 (side, side)."""
    most = LIMIT * divisor
    # Sums from -most on are counted from 0; OpenCV clips those below, and the table those above.
    counts = cv2.filter2D(luma, cv2.CV_8U, np.array(kernel, dtype=np.float32), delta=most)
    sums = np.arange(256).clip(max=2 * most) - most
    table = np.rint(ZERO + 127 / most * sums).astype(np.uint8)
    return np.asarray(cv2.LUT(counts, table), dtype=np.uint8)
