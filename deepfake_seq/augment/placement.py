"""Position of the face in a crop: centre, size and tilt, from its landmarks or its box.

The unit of the face is the distance from the line of the eyes to that of the mouth, about 65 mm.
The origin is midway between the two, so the eyes are at y = -0.5 and the mouth is at 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.augment.crops import Crops

_UNIT_OF_HEIGHT, _UNIT_OF_WIDTH = 0.38, 0.5
"""The unit as a fraction of the height and width of a detector's box, which reaches from the
hairline to the chin and from ear to ear."""

_CENTRE_BELOW_BOX = 0.15
"""Distance of the face's centre below that of its box, in units, because the face
includes the forehead."""

_MIN_UNIT, _MAX_UNIT = 0.6, 1.5
"""Limits of the unit from landmarks, as multiples of the unit from the box; landmarks beyond them
are wrong."""

_MIN_WIDTH = 0.75
"""Minimum width of a face in profile, relative to a frontal face."""


@dataclass(frozen=True)
class Placement:
    """Position of a face in one crop.

    Attributes:
        x: Horizontal position of its centre in pixels.
        y: Vertical position of its centre in pixels.
        unit: Distance from the eyes to the mouth in pixels.
        tilt: Rotation in radians, clockwise in the image.
        width: Width relative to a frontal face.
    """

    x: float
    y: float
    unit: float
    tilt: float = 0.0
    width: float = 1.0

    def to_pixels(self) -> npt.NDArray[np.float64]:
        """Return the affine transform from units of the face to pixels, float64 (2, 3)."""
        cos, sin = np.cos(self.tilt) * self.unit, np.sin(self.tilt) * self.unit
        return np.array([[cos * self.width, -sin, self.x], [sin * self.width, cos, self.y]])


def locate_faces(crops: Crops) -> list[Placement]:
    """Return the position of the face in each crop.

    If any frame lacks landmarks, the boxes are used for all frames, so that the method does not
    change within a clip.
    """
    landmarks = [points for points in crops.landmarks if points is not None]
    landmarks = [points for points in landmarks if np.isfinite(points).all()]
    if len(landmarks) < len(crops.boxes_xyxy):
        return [from_box(box) for box in crops.boxes_xyxy]
    return [from_landmarks(*both) for both in zip(crops.boxes_xyxy, landmarks, strict=True)]


def from_box(box_xyxy: npt.NDArray[np.float32]) -> Placement:
    """Estimate the position of a face from its box.

    Args:
        box_xyxy: float32 (4,) in pixels.
    """
    left, top, right, bottom = (float(value) for value in box_xyxy)
    unit = max(min(_UNIT_OF_HEIGHT * (bottom - top), _UNIT_OF_WIDTH * (right - left)), 1.0)
    return Placement((left + right) / 2, (top + bottom) / 2 + _CENTRE_BELOW_BOX * unit, unit)


def from_landmarks(
    box_xyxy: npt.NDArray[np.float32], landmarks: npt.NDArray[np.float32]
) -> Placement:
    """Estimate the position of a face from its landmarks, within limits set by its box.

    Args:
        box_xyxy: float32 (4,) in pixels.
        landmarks: float32 (5, 2) in pixels; see `Crops`.
    """
    box = from_box(box_xyxy)
    left_eye, right_eye, _, left_mouth, right_mouth = landmarks.astype(np.float64)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    down, across = mouth - eyes, right_eye - left_eye
    # Looking up or down shortens the distance from eyes to mouth, looking aside that between the
    # eyes. They are about equal in a frontal face, so the longer one is the unit.
    longer = max(float(np.hypot(*down)), float(np.hypot(*across)))
    unit = float(np.clip(longer, _MIN_UNIT * box.unit, _MAX_UNIT * box.unit))
    # Average the tilt of both directions, weighted by their lengths.
    axis = across + np.array([down[1], -down[0]])
    tilt = float(np.arctan2(axis[1], axis[0])) if axis.any() else 0.0
    # The centre of a face that looks aside is between its landmarks and the centre of the box.
    middle, box_centre = (eyes + mouth) / 2, np.array([box.x, box.y])
    right = np.array([np.cos(tilt), np.sin(tilt)])
    middle += right * ((box_centre - middle) @ right) / 2
    reach = box.unit / 2
    x, y = np.clip(middle, box_centre - reach, box_centre + reach)
    width = float(np.clip((box_xyxy[2] - box_xyxy[0]) / (2 * unit), _MIN_WIDTH, 1.0))
    return Placement(float(x), float(y), unit, tilt, width)
