"""The CNN on Keras, with any of its backends: TensorFlow, or JAX for GPUs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepfake_seq.backend import load_keras
from deepfake_seq.config import BackboneConfig
from deepfake_seq.extract.backbones import BACKBONE_TABLE, build_keras_model, preprocess
from deepfake_seq.extract.runtimes.base import BATCH, in_batches


class KerasRuntime:
    """See `CnnRuntime`."""

    def __init__(self, config: BackboneConfig, weights: Path | None) -> None:
        keras = load_keras()

        self.batch = BATCH
        self._row = BACKBONE_TABLE[config.name]
        policy = "float32" if config.precision == "float32" else f"mixed_{config.precision}"
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            self._model = build_keras_model(config.name, weights)
        finally:
            keras.config.set_dtype_policy(before)

    def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `CnnRuntime.features`."""
        parts = [np.zeros((0, self._row.width), dtype=np.float32)]
        for batch, count in in_batches(crops_rgb):
            output = self._model.predict_on_batch(preprocess(batch, self._row.inputs))
            parts.append(np.asarray(output, dtype=np.float32)[:count])
        return np.concatenate(parts)
