"""Soft masks in the shape of a face, drawn once for a clip and laid over the face of each frame.

After Shiohara and Yamasaki (CVPR 2022, section 3.1), who take the hull of 68 or 81 landmarks; five
landmarks tell less, so the hull is an outline of the usual proportions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepfake_seq.augment.placement import Placement

SIDE = 256
"""Of the square that masks are drawn on, in pixels: the face is about as large as in the paper."""

REACH = 2.0
"""How far the square reaches from the middle of the face, in units of the face."""

_WIDTH = (0.9, 1.08)
_CHIN = (1.05, 1.2)
_TOP = (-1.4, -0.85)
"""From the hairline to the brows, as with 81 and 68 landmarks."""

_WIDEST = -0.3
"""The height of the cheekbones, a little below the eyes at -0.5."""

_DEFORMATION = 0.035
"""Standard deviation of how far an outline is pushed, in units."""

_DEFORMATION_GRID = 6
"""Points a side between which the pushes are smooth."""

_KERNELS = (5, 25)
_SIGMAS = (5.0, 45.0)
"""Of the two blurs, in pixels, as in the authors' code."""

RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)
"""How much of the source is blended in at most, as in the paper."""


def draw_mask(generator: np.random.Generator) -> npt.NDArray[np.float32]:
    """A mask: an outline, deformed, shrunk and softened.

    Args:
        generator: What is drawn from.

    Returns:
        float32 (SIDE, SIDE), 0 to the blending ratio; 0 at the border.
    """
    import cv2

    mask: npt.NDArray[np.float32] = np.zeros((SIDE, SIDE), dtype=np.float32)
    points = (_outline(generator) + REACH) * (SIDE / (2 * REACH))
    cv2.fillPoly(mask, [points.round().astype(np.int32)], 1.0)
    mask = _deformed(mask, generator)
    # The first blur and the threshold shrink the mask, the second one softens what is left.
    kernel = _odd(generator)
    blurred = cv2.GaussianBlur(mask, (kernel, kernel), 0)
    shrunk = (blurred >= blurred.max() - 1e-3).astype(np.float32)
    kernel = _odd(generator)
    soft = cv2.GaussianBlur(shrunk, (kernel, kernel), generator.uniform(*_SIGMAS))
    ratio = RATIOS[generator.integers(len(RATIOS))]
    return np.asarray((soft / soft.max()).clip(0, 1) * ratio, dtype=np.float32)


def laid_over(
    mask: npt.NDArray[np.float32], to_pixels: npt.NDArray[np.float64], size: int
) -> npt.NDArray[np.float32]:
    """A mask where the face is.

    Args:
        mask: float32 (SIDE, SIDE).
        to_pixels: (2, 3); from units of the face to pixels of the crop.
        size: The side of the crop in pixels.

    Returns:
        float32 (size, size).
    """
    import cv2

    step = 2 * REACH / SIDE
    to_units = np.array([[step, 0.0, step / 2 - REACH], [0.0, step, step / 2 - REACH], [0, 0, 1]])
    laid = cv2.warpAffine(
        mask,
        to_pixels @ to_units,
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return np.asarray(laid, dtype=np.float32)


def about(
    placement: Placement, scale: float, shift: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """(2, 3): enlarges a crop about the face's middle and shifts it along the face's axes.

    Args:
        placement: Of the face.
        scale: 1.05 enlarges by 5 %.
        shift: To the face's right in the image, and down, in units.
    """
    cos, sin = np.cos(placement.tilt), np.sin(placement.tilt)
    middle = np.array([placement.x, placement.y])
    moved = np.array([[cos, -sin], [sin, cos]]) @ shift * placement.unit
    offset = middle * (1 - scale) + moved
    return np.array([[scale, 0.0, offset[0]], [0.0, scale, offset[1]]])


def _outline(generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """(N, 2) in units: half an ellipse up from the cheekbones, half of one down."""
    width, chin = generator.uniform(*_WIDTH), generator.uniform(*_CHIN)
    top = generator.uniform(*_TOP)
    angle = np.linspace(0.0, 2 * np.pi, 128, endpoint=False)
    down = np.sin(angle)
    y = _WIDEST + np.where(down > 0, down * (chin - _WIDEST), down * (_WIDEST - top))
    return np.stack([width * np.cos(angle), y], axis=1)


def _deformed(
    mask: npt.NDArray[np.float32], generator: np.random.Generator
) -> npt.NDArray[np.float32]:
    """The mask pushed about, smoothly."""
    import cv2

    points = (_DEFORMATION_GRID, _DEFORMATION_GRID, 2)
    pushes = generator.standard_normal(points, dtype=np.float32).clip(-2, 2)
    pushes *= _DEFORMATION * SIDE / (2 * REACH)
    pushes = cv2.resize(pushes, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    return np.asarray(
        cv2.remap(mask, columns + pushes[..., 0], rows + pushes[..., 1], cv2.INTER_LINEAR),
        dtype=np.float32,
    )


def _odd(generator: np.random.Generator) -> int:
    least, most = _KERNELS
    return least + 2 * int(generator.integers((most - least) // 2, endpoint=True))
