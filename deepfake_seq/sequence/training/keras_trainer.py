"""A trainer in Keras, on its current backend: TensorFlow, or JAX for GPUs.

Tracing a training step takes seconds; running it on a small dataset takes milliseconds. All models
of one architecture therefore share one compiled model, whose weights and optimizer state are reset
before each training run. The results are the same as with a new model for each run.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from deepfake_seq.backend import load_keras
from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.data.features import Tensor
from deepfake_seq.sequence.models.cells import Weights
from deepfake_seq.sequence.models.keras_models import build_model
from deepfake_seq.sequence.models.sequence_model import WIDE_KERNEL
from deepfake_seq.sequence.training.losses import keras_focal_loss, keras_mask_loss
from deepfake_seq.sequence.training.objective import Objective, TrainingBatch


class KerasTrainer:
    """Trains on one compiled model; see `Trainer`.

    Args:
        config: Settings of the model.
        frames: Number of frames T.
        width: Number of features D.
        objective: Loss, penalty and learning rate.
    """

    def __init__(self, config: ModelConfig, frames: int, width: int, objective: Objective) -> None:
        keras = load_keras()

        self._masks = objective.mask_weight > 0
        self._model = build_model(config, frames, width, masks=self._masks)
        if config.statistics:
            wide = self._model.get_layer(WIDE_KERNEL.split("/")[0])
            wide.kernel.regularizer = keras.regularizers.L2(objective.wide_l2)
        optimizer = keras.optimizers.Adam(objective.learning_rate)
        losses = [keras_focal_loss(objective.gamma)]
        factors = [1.0]
        if self._masks:
            losses.append(keras_mask_loss())
            factors.append(objective.mask_weight)
        self._model.compile(optimizer=optimizer, loss=losses, loss_weights=factors)
        optimizer.build(self._model.trainable_variables)
        self._initial_state = [
            np.array(keras.ops.convert_to_numpy(variable)) for variable in optimizer.variables
        ]

    @staticmethod
    @lru_cache(maxsize=8)
    def of(config: ModelConfig, frames: int, width: int, objective: Objective) -> KerasTrainer:
        """Return the shared trainer for these settings."""
        return KerasTrainer(config, frames, width, objective)

    def start(self, weights: Weights, seed: int) -> None:
        """See `Trainer`."""
        for variable in self._model.variables:
            # Every variable that is not a weight is the state of the dropout's generator.
            start = weights[variable.path] if variable.path in weights else np.array([seed, 0])
            variable.assign(start.astype(variable.dtype))
        optimizer = self._model.optimizer
        for variable, value in zip(optimizer.variables, self._initial_state, strict=True):
            variable.assign(value)

    def step(self, batch: TrainingBatch) -> float:
        """See `Trainer`.

        A smaller batch is padded with clips of weight 0 and without valid frames, because another
        shape would be traced again.
        """
        missing, shares = batch.size - len(batch.targets), batch.shares

        def pad(array: Any) -> Any:
            return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])

        arrays = [pad(array) for array in batch.inputs[: len(self._model.inputs)]]
        all_targets, all_weights = [pad(batch.targets[:, None])], [pad(batch.weights)]
        if shares is not None:
            all_targets.append(pad(np.nan_to_num(shares)))
            all_weights.append(pad((~np.isnan(shares).any(axis=1)).astype(np.float32)))
        penalty = float(sum(self._model.losses))
        result: Any = self._model.train_on_batch(arrays, all_targets, all_weights)
        if shares is not None:
            return float(result[1]) * batch.size  # the mean of the first output's losses
        # Keras returns the mean of the losses, plus the penalty.
        return (float(np.ravel(result)[0]) - penalty) * batch.size

    @property
    def weights(self) -> dict[str, Tensor]:
        """See `Trainer`."""
        values = [np.array(value, dtype=np.float32) for value in self._model.get_weights()]
        return dict(zip((variable.path for variable in self._model.weights), values, strict=True))
