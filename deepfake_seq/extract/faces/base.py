"""What every face detector takes and gives."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Face:
    """One face in one image.

    Attributes:
        box_xyxy: float32 (4,); left, top, right, bottom in pixels.
        score: The detector's confidence, 0 to 1.
        landmarks: float32 (5, 2); x and y of the eye on the image's left, the eye on its right, the
            nose, and the corners of the mouth on the left and on the right. None where the
            detector tells none.
    """

    box_xyxy: npt.NDArray[np.float32]
    score: float
    landmarks: npt.NDArray[np.float32] | None = None

    @property
    def area(self) -> float:
        """In square pixels."""
        left, top, right, bottom = (float(value) for value in self.box_xyxy)
        return max(right - left, 0.0) * max(bottom - top, 0.0)

    def scaled(self, factor: float) -> Face:
        """The same face in an image `factor` times as large."""
        return replace(
            self,
            box_xyxy=self.box_xyxy * np.float32(factor),
            landmarks=None if self.landmarks is None else self.landmarks * np.float32(factor),
        )


@dataclass(frozen=True)
class FaceTrack:
    """One person's faces over the sampled frames.

    Attributes:
        faces: By position in the sampled frames.
    """

    faces: dict[int, Face]

    @property
    def weight(self) -> float:
        """How much of the video is about this person: the side lengths of all faces, summed."""
        return sum(math.sqrt(face.area) for face in self.faces.values())


class FaceDetector(Protocol):
    """Finds the faces in a batch of images. Several threads may use it at once."""

    def detect(self, images_rgb: npt.NDArray[np.uint8]) -> list[list[Face]]:
        """Find faces.

        Args:
            images_rgb: uint8 (N, H, W, 3).

        Returns:
            For each image its faces, the surest first; an empty list where there is none.
        """
        ...
