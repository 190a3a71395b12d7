"""RetinaFace (Deng et al., 2020): the `retina-face` package, with its network on OpenVINO."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.backend import disable_telemetry
from deepfake_seq.errors import WeightsError
from deepfake_seq.extract.faces.base import Face
from deepfake_seq.extract.faces.openvino_network import Outputs, read_network

MIN_SCORE = 0.9
_SMALLEST_SIDE = 32
_OUTPUTS = 9  # class, box and landmarks at each of three strides
_LANDMARKS = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")

Network = Callable[[list[npt.NDArray[np.float32]]], list[Outputs]]


class RetinaFaceDetector:
    """The package's pre- and postprocessing, with a network that runs many images at once.

    Args:
        network: Takes float32 (H, W, 3) images in RGB, 0 to 255, all of one size; returns for each
            image the outputs of the package's network.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._package = _import_package()

    def detect(self, images_rgb: npt.NDArray[np.uint8]) -> list[list[Face]]:
        """See `FaceDetector.detect`."""
        if not len(images_rgb) or min(images_rgb.shape[1:3]) < _SMALLEST_SIDE:
            return [[] for _ in images_rgb]
        outputs = self._network([self._prepare(image) for image in images_rgb])
        return [self._finish(image, rows) for image, rows in zip(images_rgb, outputs, strict=True)]

    def _prepare(self, image_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Preprocess one image with the package: float32 (H, W, 3)."""
        tensor, _, _ = self._package.preprocess.preprocess_image(image_rgb[:, :, ::-1], False)
        return np.asarray(tensor[0], dtype=np.float32)

    def _finish(self, image_rgb: npt.NDArray[np.uint8], outputs: Outputs) -> list[Face]:
        """Postprocess the network's outputs of one image with the package."""
        faces = self._package.detect_faces(
            image_rgb[:, :, ::-1],
            threshold=MIN_SCORE,
            model=lambda _: outputs,
            allow_upscaling=False,
        )
        return [
            Face(
                np.asarray(face["facial_area"], dtype=np.float32),
                float(face["score"]),
                np.array([face["landmarks"][name] for name in _LANDMARKS], dtype=np.float32),
            )
            for face in faces.values()
        ]


def read_model(weights: Path) -> Any:
    """Return the network, an `openvino.Model`; it takes float32 (N, H, W, 3) in RGB.

    Raises:
        WeightsError: The file does not contain this network.
    """
    model = read_network(weights, "RetinaFace")
    images = model.input(0).partial_shape
    if len(model.outputs) != _OUTPUTS or len(images) != 4 or str(images[3]) != "3":
        raise WeightsError(
            f"{weights} is not a RetinaFace network: it must take images (N, H, W, 3) and have "
            f"{_OUTPUTS} outputs. Received: {images}, {len(model.outputs)} outputs"
        )
    return model


def _import_package() -> Any:
    # If TensorFlow is installed, the package prefers it and then needs tf-keras. Importing the
    # package also disables all warnings of the process.
    os.environ["DEEPFACE_BACKEND_ENGINE"] = "onnx"
    disable_telemetry()  # of ONNX Runtime, which the package imports
    with warnings.catch_warnings():
        from retinaface import RetinaFace
    return RetinaFace
