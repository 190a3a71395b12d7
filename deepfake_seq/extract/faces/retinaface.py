"""RetinaFace (Deng et al., 2020), from the `retina-face` package, on its ONNX network."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.errors import WeightsError
from deepfake_seq.extract.faces.base import Face

MIN_SCORE = 0.9
_BATCH = 4
_SMALLEST_SIDE = 32
_OUTPUTS = 9  # class, box and landmarks at each of three strides
_LANDMARKS = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")

Network = Callable[[npt.NDArray[np.float32]], list[npt.NDArray[np.float32]]]


class RetinaFaceDetector:
    """The package's own pre- and post-processing round one run of its network for many images."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._package = _import_package()

    @classmethod
    def from_file(cls, weights: Path) -> RetinaFaceDetector:
        """Load the ONNX network.

        Raises:
            WeightsError: ONNX Runtime cannot read the file.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(str(weights), sess_options=options)
        except Exception as error:  # ONNX Runtime's errors have no common base of their own
            raise WeightsError(f"{weights} is not a RetinaFace network: {error}") from error
        images = session.get_inputs()[0]
        if len(session.get_outputs()) != _OUTPUTS or images.shape[-1] != 3:
            raise WeightsError(
                f"{weights} is not a RetinaFace network: it should take images (N, H, W, 3) and "
                f"give {_OUTPUTS} outputs. Received: {images.shape}, {len(session.get_outputs())}"
            )
        return cls(lambda batch: list(session.run(None, {images.name: batch})))

    def detect(self, images_rgb: npt.NDArray[np.uint8]) -> list[list[Face]]:
        """See `FaceDetector.detect`."""
        if min(images_rgb.shape[1:3]) < _SMALLEST_SIDE:
            return [[] for _ in images_rgb]
        faces = []
        for start in range(0, len(images_rgb), _BATCH):
            batch = images_rgb[start : start + _BATCH]
            outputs = self._network(np.concatenate([self._prepare(image) for image in batch]))
            for position, image in enumerate(batch):
                own = [output[position : position + 1] for output in outputs]
                faces.append(self._finish(image, own))
        return faces

    def _prepare(self, image_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The package's own input of one image: float32 (1, H, W, 3)."""
        tensor, _, _ = self._package.preprocess.preprocess_image(image_rgb[:, :, ::-1], False)
        return np.asarray(tensor, dtype=np.float32)

    def _finish(
        self, image_rgb: npt.NDArray[np.uint8], outputs: list[npt.NDArray[np.float32]]
    ) -> list[Face]:
        """The package's call for one image, with the network's outputs already there."""
        found = self._package.detect_faces(
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
            for face in found.values()
        ]


def _import_package() -> Any:
    # It prefers TensorFlow when it finds it, and then needs tf-keras; and it silences all warnings
    # of the process when it is imported.
    os.environ["DEEPFACE_BACKEND_ENGINE"] = "onnx"
    with warnings.catch_warnings():
        from retinaface import RetinaFace
    return RetinaFace
