"""Numbers from everything that runs on Keras, to compare two processes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import tiny_cnn

from deepfake_seq.backend import load_keras
from deepfake_seq.config import RUNTIMES, BackboneConfig, ModelConfig
from deepfake_seq.extract.backbones.runtime import build_runtime
from deepfake_seq.extract.faces.mtcnn import MTCNNDetector
from deepfake_seq.sequence.models.keras_models import build_model


def digests(image_rgb: npt.NDArray[np.uint8], home: Path) -> dict[str, str]:
    """Return digests of the features of both runtimes, of detected faces, and of a model's logits.

    Args:
        image_rgb: An image with a face.
        home: Empty folder for the networks that are translated.
    """
    crop = cv2.resize(image_rgb, (tiny_cnn.CROP_SIZE, tiny_cnn.CROP_SIZE))[None]
    with tiny_cnn.in_place(home):
        numbers = {
            name: build_runtime(name, BackboneConfig(weights="untrained"), None).features(crop)
            for name in RUNTIMES
        }
    (faces,) = MTCNNDetector().detect(image_rgb[None])
    load_keras().utils.set_random_seed(0)
    model = build_model(ModelConfig(wide=False), 16, 8)
    clip = np.random.default_rng(0).normal(size=(1, 16, 8)).astype(np.float32)
    numbers["faces"] = np.array([face.box_xyxy for face in faces])
    numbers["model"] = np.asarray(model([clip, np.ones((1, 16), dtype=bool)]))
    return {
        name: f"{values.dtype} {values.shape} {hashlib.sha256(values.tobytes()).hexdigest()}"
        for name, values in numbers.items()
    }
