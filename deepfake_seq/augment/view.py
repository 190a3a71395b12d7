"""An augmented view of a clip: crop, resize, flip, contrast and brightness, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.augment.crops import Images

CROP_SIDE = (0.8, 1.0)
"""Of the square's side. The usual margin is 12 % of it on each side of the face, so that what is
cut off is background, and at most 8 % on one side of the face."""

FLIP_CHANCE = 0.5

CONTRAST = (0.8, 1.2)
"""About what differs between two cameras in one room; beyond it skin begins to clip."""

BRIGHTNESS = (-0.1, 0.1)
"""Of 255: about a third of a stop for a face of middle grey."""


@dataclass(frozen=True)
class Draw:
    """What is done to every frame of a clip.

    Attributes:
        left: Of the square that is kept, as a fraction of the image's side.
        top: Likewise.
        side: Likewise; 0 to 1 with `left` and with `top`.
        flip: Whether left and right change places.
        contrast: What the distance from the image's own mean, of each channel, is multiplied by.
        brightness: What is added, as a fraction of 255.
    """

    left: float = 0.0
    top: float = 0.0
    side: float = 1.0
    flip: bool = False
    contrast: float = 1.0
    brightness: float = 0.0


IDENTITY = Draw()
"""Changes nothing."""


def draw_view(generator: np.random.Generator) -> Draw:
    """One draw, each part of it uniform in its range."""
    side = generator.uniform(*CROP_SIDE)
    return Draw(
        left=generator.uniform(0.0, 1.0 - side),
        top=generator.uniform(0.0, 1.0 - side),
        side=side,
        flip=bool(generator.random() < FLIP_CHANCE),
        contrast=generator.uniform(*CONTRAST),
        brightness=generator.uniform(*BRIGHTNESS),
    )


def apply_view(images_rgb: Sequence[npt.NDArray[np.uint8]], draw: Draw) -> Images:
    """The view of each image that a draw describes.

    `finetune.augmentation` does the same on a GPU.

    Args:
        images_rgb: uint8 (S, S, 3) each; S may differ.
        draw: The same for all.

    Returns:
        Images of the same sides.
    """
    return [_applied(image, draw) for image in images_rgb]


def _applied(image_rgb: npt.NDArray[np.uint8], draw: Draw) -> npt.NDArray[np.uint8]:
    import cv2

    image = image_rgb.astype(np.float32)
    size = len(image)
    warped = cv2.warpAffine(
        image,
        _to_source(draw, size),
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    mean = warped.mean(axis=(0, 1))
    toned = (warped - mean) * np.float32(draw.contrast) + mean + np.float32(draw.brightness * 255)
    return np.asarray(toned.clip(0, 255).round(), dtype=np.uint8)


def _to_source(draw: Draw, size: int) -> npt.NDArray[np.float64]:
    """(2, 3): from a pixel's x and y in the view to those in the image that it is taken from."""
    corner = np.array([draw.left, draw.top]) * size
    step = np.array([-draw.side if draw.flip else draw.side, draw.side])
    first = corner + draw.side / 2 - 0.5  # where the centre of the pixel at 0 is taken from
    if draw.flip:
        first[0] = corner[0] + draw.side * (size - 0.5) - 0.5
    return np.array([[step[0], 0.0, first[0]], [0.0, step[1], first[1]]])
