"""Six regions of a face in a square crop, from five landmarks: pure functions of arrays.

The unit of the face is the longer of two distances: from the line of the eyes to that of the mouth,
and from eye to eye. They are about equal in a frontal face; looking up or down shortens the first,
looking aside the second. With E, N and M for the middle of the eyes, the nose and the middle of the
mouth, and with C midway between E and M:

=============  ====================================================================================
`eyes`         within 0.32 units of either eye
`nose`         within 0.22 units of the segment from E + 0.35 (N - E) to N
`mouth`        within 0.26 units of the segment between the corners of the mouth
`skin`         the rest of the ellipse ρ < 0.8
`ring`         0.8 ≤ ρ < 1.2, where a replaced face is blended into the picture
`background`   ρ ≥ 1.2: hair, neck and what is behind the head
=============  ====================================================================================

ρ is the radius relative to the outline of the face, an ellipse whose half axes are 0.95 units
along the line of the eyes and 1.2 units across it, from the hairline to the chin. The axes are
tilted with the face: the tilt is the mean direction of the line of the eyes and of the
perpendicular to E - M, weighted by their lengths. The centre is C, moved up by 0.05 units and,
because a face that looks aside has its nose in front and its ear behind, moved away from the nose
by 0.7 times the nose's distance from the vertical axis, which counts as 0.6 units at most.

A region that comes first in the table has precedence. Borders are soft, about one cell wide, so
that weights change smoothly from frame to frame and a region never disappears: if no cell is inside
it, the cells closest to it get its weight.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

REGIONS = ("eyes", "nose", "mouth", "skin", "ring", "background")
"""Names of the regions, in the order of the rows of `region_weights`."""

VERSION = 1
"""Must be increased when a change of this module changes the weights."""

FIXED_LANDMARKS = np.array(
    [[0.354, 0.398], [0.646, 0.398], [0.5, 0.573], [0.383, 0.69], [0.617, 0.69]], dtype=np.float64
)
"""The landmarks assumed if there are none, as fractions of the crop: a frontal face as large as the
default margin makes it."""

_EYE_RADIUS, _NOSE_RADIUS, _MOUTH_RADIUS = 0.32, 0.22, 0.26
_NOSE_START = 0.35
_HALF_WIDTH, _HALF_HEIGHT = 0.95, 1.2
_CENTRE_Y = -0.05
_RING = (0.8, 1.2)
_NOSE_SHIFT, _MAX_NOSE = 0.7, 0.6

_MIN_UNIT = 0.05
"""Smallest unit that a detected face can have, as a fraction of the crop's side; landmarks that are
closer together are wrong."""

_SHARPNESS = 4.0
"""A border falls from 0.98 to 0.02 over two cells."""

_MASK_CELLS = 64
"""Rows and columns of the pixels that represent a mask."""

Weights = npt.NDArray[np.float32]
_Points = npt.NDArray[np.float64]


def are_usable(landmarks: npt.NDArray[np.floating] | None, side: float) -> bool:
    """Return whether landmarks can place the regions; if not, their layout is a fixed one.

    Args:
        landmarks: See `region_weights`.
        side: Side of the crop in pixels.
    """
    if landmarks is None or not np.isfinite(landmarks).all():
        return False
    down, across = _axes(np.asarray(landmarks, dtype=np.float64))
    return max(_length(down), _length(across)) >= _MIN_UNIT * side


def region_weights(
    landmarks: npt.NDArray[np.floating] | None, side: float, cells: tuple[int, int]
) -> Weights:
    """Return the weights with which the cells of a feature map are averaged in each region.

    The map covers the crop evenly. If the landmarks are not usable (see `are_usable`), the regions
    are those of `FIXED_LANDMARKS`.

    Args:
        landmarks: float (5, 2); x and y of the left eye, the right eye, the nose, the left and the
            right corner of the mouth in pixels of the crop, which they may be outside of. None if
            there are none.
        side: Side of the crop in pixels.
        cells: Number of rows and columns of the map.

    Returns:
        float32 (6, rows, columns), in the order of `REGIONS`; at least 0, with the sum 1 in each
        region.
    """
    logs = _log_shares(landmarks, side, cells).reshape(len(REGIONS), -1)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(weights.reshape(len(REGIONS), *cells), dtype=np.float32)


def region_shares(
    landmarks: npt.NDArray[np.floating] | None, side: float, cells: tuple[int, int]
) -> Weights:
    """Return how far each cell belongs to each region.

    Args:
        landmarks: See `region_weights`.
        side: Side of the crop in pixels.
        cells: Number of rows and columns.

    Returns:
        float32 (6, rows, columns), in the order of `REGIONS`; at least 0, with the sum 1 in each
        cell.
    """
    return np.exp(_log_shares(landmarks, side, cells)).astype(np.float32)


def mask_shares(
    mask: npt.NDArray[np.floating | np.bool_], landmarks: npt.NDArray[np.floating] | None
) -> npt.NDArray[np.float64]:
    """Return the share of each region that a mask of a crop covers.

    Args:
        mask: (side, side); opacity of each pixel, from 0 to 1.
        landmarks: See `region_weights`.

    Returns:
        float64 (6,), from 0 to 1, in the order of `REGIONS`.
    """
    side = len(mask)
    count = min(side, _MASK_CELLS)
    middle = ((np.arange(count) + 0.5) * side / count).astype(np.int64)
    cells = mask[np.ix_(middle, middle)].astype(np.float64)
    weights = region_weights(landmarks, side, cells.shape)
    return np.asarray((weights * cells).sum(axis=(1, 2)).clip(0.0, 1.0), dtype=np.float64)


def mean_shares(frames: Sequence[npt.NDArray[np.float64]]) -> list[float]:
    """Return the mean of the `mask_shares` of some frames, with four decimals."""
    return [round(float(share), 4) for share in np.mean(frames, axis=0)]


def _log_shares(
    landmarks: npt.NDArray[np.floating] | None, side: float, cells: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Return the logarithms of `region_shares`, which do not underflow far from a region.

    A cell belongs to a region as far as it is inside its border and outside of all earlier ones.
    """
    if landmarks is None or not are_usable(landmarks, side):
        landmarks = FIXED_LANDMARKS * side
    rows, columns = cells
    y, x = np.indices(cells)
    centres = np.stack([(x + 0.5) / columns, (y + 0.5) / rows], axis=-1) * side
    cell = side / np.sqrt(rows * columns)
    borders = _SHARPNESS / cell * _signed_distances(np.asarray(landmarks, np.float64), centres)
    # The logarithms of the logistic function of -borders and of borders.
    inside, outside = -np.logaddexp(0, borders), -np.logaddexp(0, -borders)
    shares = np.zeros((len(REGIONS), *cells))
    shares[:-1] = inside
    shares[1:] += outside.cumsum(axis=0)
    return shares


def _signed_distances(landmarks: _Points, points: _Points) -> npt.NDArray[np.float64]:
    """Return how far points are outside of each border (negative: inside), in pixels.

    Returns:
        float64 (5, …): the borders of eyes, nose and mouth, and both borders of the ring.
    """
    left_eye, right_eye, nose, left_mouth, right_mouth = landmarks
    eyes = (left_eye + right_eye) / 2
    down, across = _axes(landmarks)
    unit = max(_length(down), _length(across))
    bridge = eyes + _NOSE_START * (nose - eyes)
    to_eyes = np.minimum(
        _to_segment(points, left_eye, left_eye), _to_segment(points, right_eye, right_eye)
    )
    radius = _outline_radius(points, eyes + down / 2, nose, _direction(down, across), unit)
    scale = np.sqrt(_HALF_WIDTH * _HALF_HEIGHT)
    return np.stack(
        [
            to_eyes - _EYE_RADIUS * unit,
            _to_segment(points, bridge, nose) - _NOSE_RADIUS * unit,
            _to_segment(points, left_mouth, right_mouth) - _MOUTH_RADIUS * unit,
            *((radius - border) * scale * unit for border in _RING),
        ]
    )


def _axes(landmarks: _Points) -> tuple[_Points, _Points]:
    """Return the vectors from the middle of the eyes to that of the mouth, and from eye to eye."""
    left_eye, right_eye, _, left_mouth, right_mouth = landmarks
    return (left_mouth + right_mouth - left_eye - right_eye) / 2, right_eye - left_eye


def _direction(down: _Points, across: _Points) -> _Points:
    """Return the unit vector along the line of the eyes, the mean of both estimates."""
    right = across + np.array([down[1], -down[0]])
    length = _length(right)
    return right / length if length else np.array([1.0, 0.0])


def _outline_radius(
    points: _Points, centre: _Points, nose: _Points, right: _Points, unit: float
) -> npt.NDArray[np.float64]:
    """Return the radius of points relative to the outline of the face."""
    aside = float((nose - centre) @ right) / unit
    x = (points - centre) @ right / unit + _NOSE_SHIFT * np.clip(aside, -_MAX_NOSE, _MAX_NOSE)
    y = (points - centre) @ np.array([-right[1], right[0]]) / unit - _CENTRE_Y
    return np.asarray(np.hypot(x / _HALF_WIDTH, y / _HALF_HEIGHT), dtype=np.float64)


def _to_segment(points: _Points, start: _Points, end: _Points) -> npt.NDArray[np.float64]:
    """Return the distance of points (…, 2) to a segment, which may be a point."""
    along = end - start
    length = float(along @ along)
    place = (
        np.clip((points - start) @ along / length, 0, 1) if length else np.zeros(points.shape[:-1])
    )
    nearest = start + place[..., None] * along
    return np.asarray(np.hypot(*np.moveaxis(points - nearest, -1, 0)), dtype=np.float64)


def _length(vector: _Points) -> float:
    return float(np.hypot(*vector))
