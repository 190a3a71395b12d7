"""The interface of a face detector, and its results."""

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
        landmarks: float32 (5, 2); x and y of the left eye, the right eye, the nose, and the left
            and right corners of the mouth, left and right as in the image. None if the detector
            finds no landmarks.
    """

    box_xyxy: npt.NDArray[np.float32]
    score: float
    landmarks: npt.NDArray[np.float32] | None = None

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        left, top, right, bottom = (float(value) for value in self.box_xyxy)
        return max(right - left, 0.0) * max(bottom - top, 0.0)

    def scaled(self, factor: float) -> Face:
        """Return the face in coordinates of an image `factor` times as large."""
        return replace(
            self,
            box_xyxy=self.box_xyxy * np.float32(factor),
            landmarks=None if self.landmarks is None else self.landmarks * np.float32(factor),
        )

    def moved(self, right: float, down: float) -> Face:
        """Return the face moved by a number of pixels."""
        shift = np.array([right, down], dtype=np.float32)
        return replace(
            self,
            box_xyxy=self.box_xyxy + np.tile(shift, 2),
            landmarks=None if self.landmarks is None else self.landmarks + shift,
        )


@dataclass(frozen=True)
class FaceTrack:
    """One person's faces over the sampled frames.

    Attributes:
        faces: The faces, by position of the frame among the sampled frames.
    """

    faces: dict[int, Face]

    @property
    def weight(self) -> float:
        """Prominence of the person in the video: the sum of the side lengths of all faces."""
        return sum(math.sqrt(face.area) for face in self.faces.values())


class FaceDetector(Protocol):
    """Finds the faces in a batch of images; several threads may use it at once."""

    def detect(self, images_rgb: npt.NDArray[np.uint8]) -> list[list[Face]]:
        """Find faces.

        Args:
            images_rgb: uint8 (N, H, W, 3).

        Returns:
            For each image the list of its faces, in descending order of score.
        """
        ...
