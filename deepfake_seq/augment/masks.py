"""Soft masks in the shape of a face, drawn once per clip and warped to the face in each frame.

Follows Shiohara and Yamasaki (CVPR 2022, section 3.1), who use the convex hull of 68 or 81
landmarks. With only five landmarks, the hull is replaced by an outline of typical proportions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepfake_seq.augment.placement import Placement

SIDE = 256
"""Side of the square that masks are drawn in, in pixels; the face is about as large as in the
paper."""

REACH = 2.0
"""Distance from the centre of the face to the sides of that square, in units of the face."""

_WIDTH = (0.9, 1.08)
_CHIN = (1.05, 1.2)
_TOP = (-1.4, -0.85)
"""Ranges of the outline's half width, and of its lower and upper end, in units of the face. The
upper end is between the hairline and the brows, as with 81 and 68 landmarks."""

_WIDEST = -0.3
"""Vertical position of the cheekbones, slightly below the eyes at -0.5."""

_DEFORMATION = 0.035
"""Standard deviation of the displacements that deform the outline, in units of the face."""

_DEFORMATION_GRID = 6
"""Number of grid points per side; displacements are drawn there and interpolated between them."""

_KERNELS = (5, 25)
_SIGMAS = (5.0, 45.0)
"""Ranges of the kernel size of both blurs and of the sigma of the second, in pixels, as in the
authors' code."""

RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)
"""Maximum opacities of the source, one of which is drawn, as in the paper."""


def draw_mask(generator: np.random.Generator) -> npt.NDArray[np.float32]:
    """Draw a mask: a random outline, deformed, shrunk and blurred.

    Args:
        generator: Source of random numbers.

    Returns:
        float32 (SIDE, SIDE), from 0 to a ratio in `RATIOS`; 0 at the border.
    """
    import cv2

    mask: npt.NDArray[np.float32] = np.zeros((SIDE, SIDE), dtype=np.float32)
    points = (_outline(generator) + REACH) * (SIDE / (2 * REACH))
    cv2.fillPoly(mask, [points.round().astype(np.int32)], 1.0)
    mask = _deform(mask, generator)
    # The first blur and the threshold shrink the mask; the second blur softens its edge.
    kernel = _random_kernel(generator)
    blurred = cv2.GaussianBlur(mask, (kernel, kernel), 0)
    shrunk = (blurred >= blurred.max() - 1e-3).astype(np.float32)
    kernel = _random_kernel(generator)
    soft = cv2.GaussianBlur(shrunk, (kernel, kernel), generator.uniform(*_SIGMAS))
    ratio = RATIOS[generator.integers(len(RATIOS))]
    return np.asarray((soft / soft.max()).clip(0, 1) * ratio, dtype=np.float32)


def warp_mask(
    mask: npt.NDArray[np.float32], to_pixels: npt.NDArray[np.float64], size: int
) -> npt.NDArray[np.float32]:
    """Warp a mask to the face in a crop.

    Args:
        mask: float32 (SIDE, SIDE).
        to_pixels: float64 (2, 3); affine transform from units of the face to pixels of the crop.
        size: Side of the crop in pixels.

    Returns:
        float32 (size, size).
    """
    import cv2

    step = 2 * REACH / SIDE
    to_units = np.array([[step, 0.0, step / 2 - REACH], [0.0, step, step / 2 - REACH], [0, 0, 1]])
    warped = cv2.warpAffine(
        mask,
        to_pixels @ to_units,
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return np.asarray(warped, dtype=np.float32)


def scale_about_face(
    placement: Placement, scale: float, shift: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Return an affine transform that scales a crop about the face's centre and shifts it.

    Args:
        placement: Position of the face.
        scale: Scale factor; 1.05 enlarges by 5 %.
        shift: Shift to the right and down along the axes of the face, in units of the face.

    Returns:
        float64 (2, 3); from pixels to pixels of the crop.
    """
    cos, sin = np.cos(placement.tilt), np.sin(placement.tilt)
    centre = np.array([placement.x, placement.y])
    shift_pixels = np.array([[cos, -sin], [sin, cos]]) @ shift * placement.unit
    offset = centre * (1 - scale) + shift_pixels
    return np.array([[scale, 0.0, offset[0]], [0.0, scale, offset[1]]])


def _outline(generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return an outline, float64 (N, 2): half an ellipse above the cheekbones and half below."""
    width, chin = generator.uniform(*_WIDTH), generator.uniform(*_CHIN)
    top = generator.uniform(*_TOP)
    angle = np.linspace(0.0, 2 * np.pi, 128, endpoint=False)
    down = np.sin(angle)
    y = _WIDEST + np.where(down > 0, down * (chin - _WIDEST), down * (_WIDEST - top))
    return np.stack([width * np.cos(angle), y], axis=1)


def _deform(
    mask: npt.NDArray[np.float32], generator: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Deform a mask by smooth random displacements."""
    import cv2

    points = (_DEFORMATION_GRID, _DEFORMATION_GRID, 2)
    displacement = generator.standard_normal(points, dtype=np.float32).clip(-2, 2)
    displacement *= _DEFORMATION * SIDE / (2 * REACH)
    displacement = cv2.resize(displacement, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    x, y = columns + displacement[..., 0], rows + displacement[..., 1]
    return np.asarray(cv2.remap(mask, x, y, cv2.INTER_LINEAR), dtype=np.float32)


def _random_kernel(generator: np.random.Generator) -> int:
    """Draw an odd kernel size."""
    smallest, largest = _KERNELS
    return smallest + 2 * int(generator.integers((largest - smallest) // 2, endpoint=True))
