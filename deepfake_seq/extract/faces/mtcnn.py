"""MTCNN (Zhang, Zhang, Li and Qiao, 2016), from the `mtcnn` package, which contains the weights."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepfake_seq.backend import load_keras
from deepfake_seq.errors import EngineError
from deepfake_seq.extract.faces.base import Face

_SMALLEST_SIDE = 24


class MTCNNDetector:
    """The three-stage network, on TensorFlow.

    Raises:
        EngineError: Keras runs on another backend in this process.
    """

    def __init__(self) -> None:
        keras = load_keras()

        if keras.backend.backend() != "tensorflow":
            raise EngineError(
                "detector mtcnn needs Keras on TensorFlow: unset KERAS_BACKEND or choose another "
                f"detector. Received: KERAS_BACKEND={keras.backend.backend()}"
            )
        import tensorflow
        from mtcnn import MTCNN

        self._network = MTCNN()
        for stage in self._network.stages:
            # The package runs its networks eagerly; as graphs they give the same numbers in half
            # the time.
            stage._model = tensorflow.function(stage._model, reduce_retracing=True)

    def detect(self, images_rgb: npt.NDArray[np.uint8]) -> list[list[Face]]:
        """See `FaceDetector.detect`."""
        faces: list[list[Face]] = [[] for _ in images_rgb]
        if not len(images_rgb) or min(images_rgb.shape[1:3]) < _SMALLEST_SIDE:
            return faces
        # float32, because the package would otherwise use float64, which takes twice as long.
        images = list(images_rgb.astype(np.float32))
        rows = self._network.detect_faces(images, box_format="xyxy", output_type="numpy")
        for row in rows:
            landmarks = np.asarray(row[6:16], dtype=np.float32).reshape(2, 5).T
            face = Face(np.asarray(row[1:5], dtype=np.float32), float(row[5]), landmarks)
            faces[int(row[0])].append(face)
        return [sorted(in_image, key=lambda face: -face.score) for in_image in faces]
