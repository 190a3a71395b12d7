"""Training by Keras, on whatever backend it is set to: TensorFlow, or JAX for GPUs.

Tracing a training step takes seconds, a step of a small data set milliseconds. So models of one
architecture are trained one after the other on one compiled model, each from weights and an
optimizer of its own; what comes out is the same as from a model of its own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from deepfake_seq.backend import load_keras
from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.data.features import Mask, Tensor
from deepfake_seq.sequence.models.cells import Weights
from deepfake_seq.sequence.models.keras_models import build_model
from deepfake_seq.sequence.training.losses import keras_focal_loss


class KerasTrainer:
    """See `Trainer`. One compiled model, for one training at a time.

    Args:
        config: Which model.
        frames: T.
        width: W of its inputs.
        gamma: Of the focal loss.
        learning_rate: Adam's.
    """

    def __init__(
        self, config: ModelConfig, frames: int, width: int, gamma: float, learning_rate: float
    ) -> None:
        keras = load_keras()

        self._model = build_model(config, frames, width)
        optimizer = keras.optimizers.Adam(learning_rate)
        self._model.compile(optimizer=optimizer, loss=keras_focal_loss(gamma))
        optimizer.build(self._model.trainable_variables)
        self._begin = [np.array(keras.ops.convert_to_numpy(own)) for own in optimizer.variables]

    @staticmethod
    @lru_cache(maxsize=8)
    def of(
        config: ModelConfig, frames: int, width: int, gamma: float, learning_rate: float
    ) -> KerasTrainer:
        """The one for these settings."""
        return KerasTrainer(config, frames, width, gamma, learning_rate)

    def start(self, weights: Weights, seed: int) -> None:
        """See `Trainer`."""
        for own in self._model.variables:
            # What is no weight is the state of the dropout's random numbers.
            start = weights[own.path] if own.path in weights else np.array([seed, 0])
            own.assign(start.astype(own.dtype))
        for own, value in zip(self._model.optimizer.variables, self._begin, strict=True):
            own.assign(value)

    def step(
        self, shown: Tensor, mask: Mask, targets: Tensor, weights: Tensor, batch_size: int
    ) -> float:
        """See `Trainer`.

        A smaller batch is filled up with clips of weight 0 and without a valid frame, because
        another shape would be traced anew.
        """
        missing = batch_size - len(mask)
        arrays = [
            np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
            for array in (shown, mask, targets[:, None], weights)
        ]
        result: Any = self._model.train_on_batch(arrays[:2], arrays[2], arrays[3])
        return float(np.ravel(result)[0]) * batch_size  # Keras divides by the clips of the batch

    @property
    def weights(self) -> dict[str, Tensor]:
        """See `Trainer`."""
        values = [np.array(value, dtype=np.float32) for value in self._model.get_weights()]
        return dict(zip((own.path for own in self._model.weights), values, strict=True))
