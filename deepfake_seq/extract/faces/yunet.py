"""YuNet (Wu, Peng and Yu, 2023): a small, fast detector, run by OpenCV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from deepfake_seq.errors import WeightsError
from deepfake_seq.extract.faces.base import Face

MIN_SCORE = 0.7
_NMS_THRESHOLD = 0.3
_SMALLEST_SIDE = 16


class YuNetDetector:
    """`cv2.FaceDetectorYN` on an ONNX file.

    Raises:
        WeightsError: OpenCV cannot read the file.
    """

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        self._idle = [_load(weights)]  # one thread per network

    def detect(self, images_rgb: npt.NDArray[np.uint8]) -> list[list[Face]]:
        """See `FaceDetector.detect`."""
        height, width = images_rgb.shape[1:3]
        if min(height, width) < _SMALLEST_SIDE:
            return [[] for _ in images_rgb]
        try:
            network = self._idle.pop()
        except IndexError:
            network = _load(self._weights)
        network.setInputSize((width, height))
        faces = [_faces(network, image) for image in images_rgb]
        self._idle.append(network)
        return faces


def _load(weights: Path) -> Any:
    # OpenCV 5 warns at each start that its new engine only supports the CPU.
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        network = cv2.FaceDetectorYN.create(str(weights), "", (320, 320), MIN_SCORE, _NMS_THRESHOLD)
        # Only a run shows whether the file is a YuNet network.
        network.detect(np.zeros((320, 320, 3), dtype=np.uint8))
    except cv2.error as error:
        raise WeightsError(
            f"{weights} is not a YuNet network: {' '.join(error.err.split())}"
        ) from error
    finally:
        cv2.utils.logging.setLogLevel(before)
    return network


def _faces(network: Any, image_rgb: npt.NDArray[np.uint8]) -> list[Face]:
    _, rows = network.detect(cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))
    faces = []
    for row in rows if rows is not None else ():
        left, top, width, height = row[:4]
        box = np.array([left, top, left + width, top + height], dtype=np.float32)
        faces.append(Face(box, float(row[14]), row[4:14].reshape(5, 2).astype(np.float32)))
    return sorted(faces, key=lambda face: -face.score)
