"""Crops of a face in a clip, with the position of the face in each crop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Images = list[npt.NDArray[np.uint8]]
"""RGB images in chronological order, uint8 (S, S, 3) each; S may differ between frames."""


@dataclass(frozen=True, eq=False)
class Crops:
    """The crops of one person in a clip, in chronological order.

    Attributes:
        images_rgb: Crops, uint8 (S, S, 3) each; S may differ between frames.
        boxes_xyxy: Boxes of the face, float32 (4,) each, in pixels of the crop.
        landmarks: Landmarks, float32 (5, 2) each, in pixels of the crop: left eye, right eye, nose,
            left and right corner of the mouth, with left and right as seen in the image. None if
            the detector returns none.
    """

    images_rgb: Images
    boxes_xyxy: list[npt.NDArray[np.float32]]
    landmarks: list[npt.NDArray[np.float32] | None]
