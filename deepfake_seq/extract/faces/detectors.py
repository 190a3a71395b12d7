"""Building a detector by name, and detection at a reduced size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from deepfake_seq.extract.backbones.ranges import Ranges
from deepfake_seq.extract.faces.base import Face, FaceDetector


def build_detector(
    name: str,
    weights: Path | None,
    precision: str = "float32",
    ranges: Ranges | None = None,
) -> FaceDetector:
    """Build a detector by name; import only what it needs.

    Args:
        name: One of `config.DETECTORS`.
        weights: Path of the weights file; required unless the detector is `mtcnn` or `none`.
        precision: Precision of `retinaface` and `retinaface-mobile`; the other detectors always use
            float32.
        ranges: Ranges of the network for precision int8; None for the others.

    Raises:
        WeightsError: The weights cannot be read.
        EngineError: A required library cannot be used, or the machine does not support the
            precision.
    """
    if name == "none":
        from deepfake_seq.extract.faces.whole_frame import WholeFrameDetector

        return WholeFrameDetector()
    if name == "mtcnn":
        from deepfake_seq.extract.faces.mtcnn import MTCNNDetector

        return MTCNNDetector()
    if weights is None:
        raise ValueError(f"detector {name} needs a weights file")
    if name == "yunet":
        from deepfake_seq.extract.faces.yunet import YuNetDetector

        return YuNetDetector(weights)
    from deepfake_seq.extract.faces.openvino_network import OpenVinoNetwork

    network = OpenVinoNetwork(detector_network(name, weights), precision, ranges)
    if name == "retinaface-mobile":
        from deepfake_seq.extract.faces.retinaface_mobile import RetinaFaceMobileDetector

        return RetinaFaceMobileDetector(network)
    from deepfake_seq.extract.faces.retinaface import RetinaFaceDetector

    return RetinaFaceDetector(network)


def detector_network(name: str, weights: Path) -> Any:
    """Read the float32 network of a detector.

    Args:
        name: One of `config.RETINAFACES`.
        weights: Path of the weights file.

    Returns:
        An `openvino.Model` that takes images in RGB, uint8 or float32 (N, H, W, 3).

    Raises:
        WeightsError: The file does not contain this network.
    """
    if name == "retinaface-mobile":
        from deepfake_seq.extract.faces.retinaface_mobile import read_model
    else:
        from deepfake_seq.extract.faces.retinaface import read_model
    return read_model(weights)


def detect_scaled(
    detector: FaceDetector, images_rgb: Sequence[npt.NDArray[np.uint8]], short_side: int
) -> list[list[Face]]:
    """Detect faces in images shrunk to `short_side`; boxes are in pixels of the original images.

    Images of the same shape are given to the detector together.

    Args:
        detector: The detector.
        images_rgb: uint8 (H, W, 3) each; H and W may differ.
        short_side: Length of the shorter side in pixels; smaller images are not resized.
    """
    rows_of: dict[tuple[int, ...], list[int]] = {}
    for row, image in enumerate(images_rgb):
        rows_of.setdefault(image.shape, []).append(row)
    faces: list[list[Face]] = [[] for _ in images_rgb]
    for rows in rows_of.values():
        found = _detect_equal(detector, [images_rgb[row] for row in rows], short_side)
        for row, those in zip(rows, found, strict=True):
            faces[row] = those
    return faces


def _detect_equal(
    detector: FaceDetector, images_rgb: Sequence[npt.NDArray[np.uint8]], short_side: int
) -> list[list[Face]]:
    """Detect faces in images of the same shape."""
    height, width = images_rgb[0].shape[:2]
    factor = short_side / min(height, width)
    if factor >= 1.0:
        return detector.detect(np.stack(images_rgb))
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    small: npt.NDArray[np.uint8] = np.stack(
        [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images_rgb]
    )
    return [[face.scaled(1.0 / factor) for face in faces] for faces in detector.detect(small)]
