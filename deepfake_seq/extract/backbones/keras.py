"""The CNN on Keras, compiled by the active backend: TensorFlow, or JAX for GPUs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepfake_seq.backend import has_gpu, load_keras
from deepfake_seq.config import BackboneConfig
from deepfake_seq.extract.backbones.table import backbone_of, build_keras_model, preprocess

BATCH = 16
"""Number of images per batch on a CPU."""

GPU_BATCH = 128
"""Number of images per batch on a GPU."""


class KerasRuntime:
    """See `CnnRuntime`.

    All batches have the same size, the last one is padded, so that the features of a clip do not
    depend on the clips extracted with it. Images are sent to the device as bytes.

    Args:
        config: The backbone and its precision.
        weights: Path of the weights file; None for seeded random weights.
        batch: Number of images per batch; None for the default of the device.
    """

    def __init__(
        self, config: BackboneConfig, weights: Path | None, batch: int | None = None
    ) -> None:
        keras = load_keras()

        self.batch = batch or (GPU_BATCH if has_gpu() else BATCH)
        row = backbone_of(config.name, weights)
        self._width = row.width
        policy = "float32" if config.precision == "float32" else f"mixed_{config.precision}"
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            network = build_keras_model(row, weights)
            crops = keras.Input((row.crop_size, row.crop_size, 3), dtype="uint8")
            self._model = keras.Model(crops, network(preprocess(crops, row.inputs)))
        finally:
            keras.config.set_dtype_policy(before)
        self._model.compile(jit_compile=True)

    def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `CnnRuntime.features`."""
        features = np.empty((len(crops_rgb), self._width), dtype=np.float32)
        for start in range(0, len(crops_rgb), self.batch):
            batch = crops_rgb[start : start + self.batch]
            count = len(batch)
            if count < self.batch:
                empty = np.zeros((self.batch - count, *batch.shape[1:]), dtype=np.uint8)
                batch = np.concatenate([batch, empty])
            output = self._model.predict_on_batch(batch)
            features[start : start + count] = np.asarray(output, dtype=np.float32)[:count]
        return features
