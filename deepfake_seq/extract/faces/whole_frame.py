"""Detector `none`: the whole frame is the face, for videos already cropped to the face."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepfake_seq.extract.faces.base import Face


class WholeFrameDetector:
    """Returns one face per image, as large as the image."""

    def detect(self, images_rgb: npt.NDArray[np.uint8]) -> list[list[Face]]:
        """See `FaceDetector.detect`."""
        height, width = images_rgb.shape[1:3]
        box = np.array([0, 0, width, height], dtype=np.float32)
        return [[Face(box, 1.0)] for _ in images_rgb]
