"""Augmented views of a clip: crop, resize, flip, contrast and brightness, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.augment.crops import Images

CROP_SIDE = (0.8, 1.0)
"""Range of the side that is kept, as a fraction of the crop's side. The default margin around the
face is 12 % of it, so a view loses background and at most 8 % on one side of the face."""

FLIP_CHANCE = 0.5
"""Probability of a horizontal flip."""

CONTRAST = (0.8, 1.2)
"""Range of the contrast factor: about the difference between two cameras in one room. Beyond it,
skin starts to clip."""

BRIGHTNESS = (-0.1, 0.1)
"""Range of the brightness shift, as a fraction of 255: about a third of a stop for middle grey."""


@dataclass(frozen=True)
class Draw:
    """Parameters of a view, the same for all frames of a clip.

    Attributes:
        left: Left edge of the square that is kept, as a fraction of the image's side.
        top: Top edge of that square, as a fraction of the image's side.
        side: Side of that square, as a fraction of the image's side; `left + side` and
            `top + side` are at most 1.
        flip: Whether to flip the image horizontally.
        contrast: Factor of the distance from the mean of each channel.
        brightness: Shift of all channels, as a fraction of 255.
    """

    left: float = 0.0
    top: float = 0.0
    side: float = 1.0
    flip: bool = False
    contrast: float = 1.0
    brightness: float = 0.0


IDENTITY = Draw()
"""Parameters that leave the clip unchanged."""


def draw_view(generator: np.random.Generator) -> Draw:
    """Draw the parameters of a view, each uniformly from its range."""
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
    """Return the view of each image with the given parameters.

    `finetune.augmentation` implements the same on a GPU.

    Args:
        images_rgb: Images, uint8 (S, S, 3) each; S may differ.
        draw: Parameters of the view.

    Returns:
        Images of the same sizes.
    """
    return [_apply_to_image(image, draw) for image in images_rgb]


def landmarks_in_view(
    landmarks: Sequence[npt.NDArray[np.float32] | None], sizes: Sequence[int], draw: Draw
) -> list[npt.NDArray[np.float32] | None]:
    """Return the landmarks of each image in pixels of its view.

    Args:
        landmarks: Landmarks in pixels of the image; see `Crops`.
        sizes: Side of each image in pixels.
        draw: Parameters of the view.

    Returns:
        float32 (5, 2) each, or None; left and right are those of the view.
    """
    return [
        None if points is None else _move(points, size, draw)
        for points, size in zip(landmarks, sizes, strict=True)
    ]


def _move(points: npt.NDArray[np.float32], size: int, draw: Draw) -> npt.NDArray[np.float32]:
    to_image = _view_to_image(draw, size)
    moved = (points - to_image[:, 2]) / to_image[:, :2].diagonal()
    order = [1, 0, 2, 4, 3] if draw.flip else slice(None)
    return np.asarray(moved[order], dtype=np.float32)


def _apply_to_image(image_rgb: npt.NDArray[np.uint8], draw: Draw) -> npt.NDArray[np.uint8]:
    import cv2

    image = image_rgb.astype(np.float32)
    size = len(image)
    warped = cv2.warpAffine(
        image,
        _view_to_image(draw, size),
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    mean = warped.mean(axis=(0, 1))
    toned = (warped - mean) * np.float32(draw.contrast) + mean + np.float32(draw.brightness * 255)
    return np.asarray(toned.clip(0, 255).round(), dtype=np.uint8)


def _view_to_image(draw: Draw, size: int) -> npt.NDArray[np.float64]:
    """Return the affine transform from pixels of the view to pixels of the image, (2, 3)."""
    corner = np.array([draw.left, draw.top]) * size
    step = np.array([-draw.side if draw.flip else draw.side, draw.side])
    first = corner + draw.side / 2 - 0.5  # position in the image of the view's pixel (0, 0)
    if draw.flip:
        first[0] = corner[0] + draw.side * (size - 0.5) - 0.5
    return np.array([[step[0], 0.0, first[0]], [0.0, step[1], first[1]]])
