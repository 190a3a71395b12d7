"""Cropping of faces: pure functions of an image and a box."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt


def square_around(
    box_xyxy: npt.NDArray[np.float32], margin: float, width: int, height: int
) -> tuple[int, int, int]:
    """Return the square to crop: left, top and side in whole pixels.

    Its side is the longer side of the box, enlarged by `margin`. A square that extends beyond the
    image is moved inside as far as it fits.

    Args:
        box_xyxy: float32 (4,); left, top, right, bottom in pixels.
        margin: Margin as a fraction of the side of the box; 0.3 enlarges it by 30 %.
        width: Width of the image in pixels.
        height: Height of the image in pixels.
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


def cut_square(
    image_rgb: npt.NDArray[np.uint8], box_xyxy: npt.NDArray[np.float32], margin: float
) -> npt.NDArray[np.uint8]:
    """Crop a square with a margin around the box, without resizing.

    Pixels outside the image repeat its border.

    Args:
        image_rgb: uint8 (H, W, 3).
        box_xyxy: float32 (4,); left, top, right, bottom in pixels.
        margin: Margin as a fraction of the side of the box; 0.3 enlarges it by 30 %.

    Returns:
        uint8 (side, side, 3); a view of the image if the square is inside it.
    """
    height, width = image_rgb.shape[:2]
    left, top, side = square_around(box_xyxy, margin, width, height)
    inside: npt.NDArray[np.uint8] = image_rgb[max(top, 0) : top + side, max(left, 0) : left + side]
    padding = (
        max(-top, 0),
        max(top + side - height, 0),
        max(-left, 0),
        max(left + side - width, 0),
    )
    if any(padding):
        padded = cv2.copyMakeBorder(inside, *padding, borderType=cv2.BORDER_REPLICATE)
        return padded.astype(np.uint8, copy=False)
    return inside


def resize_square(image_rgb: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Resize a square crop to the input size of the CNN.

    Args:
        image_rgb: uint8 (side, side, 3).
        size: Side of the result in pixels.

    Returns:
        uint8 (size, size, 3).
    """
    interpolation = cv2.INTER_AREA if len(image_rgb) > size else cv2.INTER_LINEAR
    resized = cv2.resize(image_rgb, (size, size), interpolation=interpolation)
    return resized.astype(np.uint8, copy=False)
