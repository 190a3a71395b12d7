"""Where the face is in a crop: how its middle, size and tilt follow from landmarks or from the box.

The unit of the face is the distance from the line of its eyes to that of its mouth, about 65 mm.
With the middle between the two as its origin, the eyes are at y = -0.5 and the mouth at 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.augment.crops import Crops

_UNIT_OF_HEIGHT, _UNIT_OF_WIDTH = 0.38, 0.5
"""Of a detector's box, which reaches from the hairline to the chin and from ear to ear."""

_MIDDLE_BELOW = 0.15
"""How far below the box's middle that of the face is, in units: foreheads are high."""

_LEAST_UNIT, _MAX_UNIT = 0.6, 1.5
"""Times the unit that follows from the box. Landmarks beyond that are no face's."""

_NARROWEST = 0.75
"""Of a face that is turned away, compared with one that looks at the camera."""


@dataclass(frozen=True)
class Placement:
    """Where a face is in one crop.

    Attributes:
        x: Of its middle, in pixels.
        y: Likewise.
        unit: From eyes to mouth, in pixels.
        tilt: Radians, clockwise as seen in the image.
        width: Of the face compared with that of one which looks at the camera.
    """

    x: float
    y: float
    unit: float
    tilt: float = 0.0
    width: float = 1.0

    def to_pixels(self) -> npt.NDArray[np.float64]:
        """(2, 3): from units of the face to pixels of the crop."""
        cos, sin = np.cos(self.tilt) * self.unit, np.sin(self.tilt) * self.unit
        return np.array([[cos * self.width, -sin, self.x], [sin * self.width, cos, self.y]])


def placements(crops: Crops) -> list[Placement]:
    """Where the face is in each crop.

    Where a single frame lacks landmarks the boxes alone decide in all of them, so that the face is
    placed in the same way throughout.
    """
    marks = [own for own in crops.landmarks if own is not None and np.isfinite(own).all()]
    if len(marks) < len(crops.boxes_xyxy):
        return [by_box(box) for box in crops.boxes_xyxy]
    return [by_landmarks(*both) for both in zip(crops.boxes_xyxy, marks, strict=True)]


def by_box(box_xyxy: npt.NDArray[np.float32]) -> Placement:
    """Where the face is by its box alone.

    Args:
        box_xyxy: (4,) in pixels.
    """
    left, top, right, bottom = (float(value) for value in box_xyxy)
    unit = max(min(_UNIT_OF_HEIGHT * (bottom - top), _UNIT_OF_WIDTH * (right - left)), 1.0)
    return Placement((left + right) / 2, (top + bottom) / 2 + _MIDDLE_BELOW * unit, unit)


def by_landmarks(
    box_xyxy: npt.NDArray[np.float32], landmarks: npt.NDArray[np.float32]
) -> Placement:
    """Where the face is by its landmarks, held to what its box allows.

    Args:
        box_xyxy: (4,) in pixels.
        landmarks: (5, 2) in pixels; see `Crops`.
    """
    box = by_box(box_xyxy)
    left_eye, right_eye, _, left_mouth, right_mouth = landmarks.astype(np.float64)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    down, across = mouth - eyes, right_eye - left_eye
    # A face that looks up or down is short between eyes and mouth, one that looks aside between
    # the eyes; the longer of the two, which are about the same, tells its size.
    longer = max(float(np.hypot(*down)), float(np.hypot(*across)))
    unit = float(np.clip(longer, _LEAST_UNIT * box.unit, _MAX_UNIT * box.unit))
    # Both directions tell the tilt, each as surely as it is long.
    axis = across + np.array([down[1], -down[0]])
    tilt = float(np.arctan2(axis[1], axis[0])) if axis.any() else 0.0
    # The middle of a face that looks aside lies between its features and the middle of the box.
    middle, centre = (eyes + mouth) / 2, np.array([box.x, box.y])
    right = np.array([np.cos(tilt), np.sin(tilt)])
    middle += right * ((centre - middle) @ right) / 2
    reach = box.unit / 2
    x, y = np.clip(middle, centre - reach, centre + reach)
    width = float(np.clip((box_xyxy[2] - box_xyxy[0]) / (2 * unit), _NARROWEST, 1.0))
    return Placement(float(x), float(y), unit, tilt, width)
