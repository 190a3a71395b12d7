"""A clip as augmentation sees it: the squares with the face, and where in them the face is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Images = list[npt.NDArray[np.uint8]]
"""uint8 (S, S, 3) RGB each, in order of time; S may differ from frame to frame."""


@dataclass(frozen=True, eq=False)
class Crops:
    """The crops of one person in a clip, in order of time.

    Attributes:
        images_rgb: uint8 (S, S, 3) each; S may differ.
        boxes_xyxy: float32 (4,) each; the face's box in pixels of its own crop.
        landmarks: float32 (5, 2) each, in pixels of its own crop: the eye on the image's left, the
            eye on its right, the nose, and the corners of the mouth on the left and on the right.
            None where the detector tells none.
    """

    images_rgb: Images
    boxes_xyxy: list[npt.NDArray[np.float32]]
    landmarks: list[npt.NDArray[np.float32] | None]
