"""Cutting the face out: pure functions of an image and a box."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt


def square_around(
    box_xyxy: npt.NDArray[np.float32], margin: float, width: int, height: int
) -> tuple[int, int, int]:
    """The square to cut: left, top and side in whole pixels.

    Its side is the box's longer one, enlarged by `margin`. Where it would leave the image it is
    moved inside, as far as it fits.

    Args:
        box_xyxy: (4,) in pixels.
        margin: 0.3 enlarges by 30 %.
        width: Of the image.
        height: Of the image.
    """
    left, top, right, bottom = (float(value) for value in box_xyxy)
    side = max(round(max(right - left, bottom - top) * (1.0 + margin)), 1)
    corner = [(left + right - side) / 2, (top + bottom - side) / 2]
    for axis, length in enumerate((width, height)):
        if side <= length:
            corner[axis] = min(max(corner[axis], 0.0), length - side)
        else:
            corner[axis] = (length - side) / 2
    return round(corner[0]), round(corner[1]), side


def crop_square(
    image_rgb: npt.NDArray[np.uint8], box_xyxy: npt.NDArray[np.float32], margin: float, size: int
) -> npt.NDArray[np.uint8]:
    """Cut a square with a margin round the box, and resize it.

    What lies outside the image repeats its border.

    Args:
        image_rgb: uint8 (H, W, 3).
        box_xyxy: (4,) in pixels.
        margin: 0.3 enlarges by 30 %.
        size: The side of the result in pixels.

    Returns:
        uint8 (size, size, 3).
    """
    height, width = image_rgb.shape[:2]
    left, top, side = square_around(box_xyxy, margin, width, height)
    inside: npt.NDArray[Any] = image_rgb[max(top, 0) : top + side, max(left, 0) : left + side]
    padding = (
        max(-top, 0),
        max(top + side - height, 0),
        max(-left, 0),
        max(left + side - width, 0),
    )
    if any(padding):
        inside = cv2.copyMakeBorder(inside, *padding, borderType=cv2.BORDER_REPLICATE)
    shrinks = side > size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(inside, (size, size), interpolation=interpolation).astype(np.uint8)
