"""Compiled Keras models that are trained again and again.

Tracing a training step takes seconds, a step of a small data set milliseconds. So models of one
architecture are trained one after the other on one compiled model, each from weights and an
optimizer of its own; what comes out is the same as from a model of its own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.backend import load_keras
from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.losses import focal_loss
from deepfake_seq.sequence.models import build_model

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class Workbench:
    """One compiled model, for one training at a time.

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

        self._arguments = (config, frames, width)
        self._model = build_model(*self._arguments)
        self._loss = focal_loss(gamma)
        optimizer = keras.optimizers.Adam(learning_rate)
        self._model.compile(optimizer=optimizer, loss=self._loss)
        optimizer.build(self._model.trainable_variables)
        self._optimizer_state = _values(optimizer.variables)

    @staticmethod
    @lru_cache(maxsize=8)
    def of(
        config: ModelConfig, frames: int, width: int, gamma: float, learning_rate: float
    ) -> Workbench:
        """The one for these settings."""
        return Workbench(config, frames, width, gamma, learning_rate)

    def start(self, seed: int) -> None:
        """Begin a training from the weights and the dropout that `seed` gives."""
        load_keras().utils.set_random_seed(seed)
        _assign(self._model.variables, _values(build_model(*self._arguments).variables))
        _assign(self._model.optimizer.variables, self._optimizer_state)

    def step(
        self, shown: Floats, mask: Mask, targets: Floats, weights: Floats, batch_size: int
    ) -> float:
        """One step of the optimizer; the sum of the clips' losses before it.

        Args:
            shown: (B, T, W), B at most `batch_size`.
            mask: (B, T).
            targets: (B, 1).
            weights: (B,), of the clips.
            batch_size: A smaller batch is filled up with clips of weight 0 and without a valid
                frame: every clip counts the same, and another shape would be traced anew.
        """
        missing = batch_size - len(mask)
        arrays = [
            np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
            for array in (shown, mask, targets, weights)
        ]
        result: Any = self._model.train_on_batch(arrays[:2], arrays[2], arrays[3])
        return float(np.ravel(result)[0]) * batch_size  # Keras divides by the clips of the batch

    def loss_of(self, targets: Floats, logits: npt.NDArray[np.float64], weights: Floats) -> float:
        """The weighted loss of clips, (B, 1), whose logits, (B, 1), are known."""
        loss = self._loss(targets, logits.astype(np.float32), weights[:, None])
        return float(load_keras().ops.convert_to_numpy(loss))

    @property
    def weights(self) -> dict[str, Floats]:
        """The weights as they are now, by their names in `inference.shapes`."""
        values = map(_as_float32, self._model.get_weights())
        return dict(zip((own.path for own in self._model.weights), values, strict=True))


def _as_float32(value: Any) -> Floats:
    return np.array(value, dtype=np.float32)


def _values(variables: Any) -> list[npt.NDArray[Any]]:
    convert = load_keras().ops.convert_to_numpy
    return [np.array(convert(variable)) for variable in variables]


def _assign(variables: Any, values: list[npt.NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
