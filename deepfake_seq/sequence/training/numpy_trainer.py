"""A trainer in NumPy: faster than the frameworks on a CPU, with nothing to import or compile."""

from __future__ import annotations

import numpy as np

from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.data.features import Tensor
from deepfake_seq.sequence.models.cells import Weights
from deepfake_seq.sequence.models.sequence_model import WIDE_KERNEL, Model, trainable
from deepfake_seq.sequence.training.adam import Adam
from deepfake_seq.sequence.training.losses import focal_gradient, focal_losses, mask_gradient
from deepfake_seq.sequence.training.objective import Objective, TrainingBatch


class NumpyTrainer:
    """Trains with `Adam`; see `Trainer`.

    Args:
        config: Settings of the model.
        objective: Loss, penalty and learning rate.
    """

    def __init__(self, config: ModelConfig, objective: Objective) -> None:
        self._model = Model(config, masks=objective.mask_weight > 0)
        self._objective = objective

    def start(self, weights: Weights, seed: int) -> None:
        """See `Trainer`."""
        self._weights = {
            name: np.array(tensor, dtype=np.float32) for name, tensor in weights.items()
        }
        trained = {name: tensor for name, tensor in self._weights.items() if trainable(name)}
        self._adam = Adam(trained, self._objective.learning_rate)
        self._generator = np.random.default_rng(seed)

    def step(self, batch: TrainingBatch) -> float:
        """See `Trainer`."""
        gamma, targets = self._objective.gamma, batch.targets
        logits = self._model.forward(self._weights, batch.inputs, self._generator)
        losses = focal_losses(targets, logits, gamma) * batch.weights
        by_logit = focal_gradient(targets, logits, gamma) * batch.weights / np.float32(batch.size)
        by_masks = None
        if batch.shares is not None:
            factor = np.float32(self._objective.mask_weight / batch.size)
            by_masks = factor * mask_gradient(batch.shares, self._model.mask_logits)
        gradients = self._model.backward(self._weights, by_logit, by_masks)
        if WIDE_KERNEL in gradients:
            penalty = np.float32(2 * self._objective.wide_l2)
            gradients[WIDE_KERNEL] += penalty * self._weights[WIDE_KERNEL]
        self._adam.step(gradients)
        return float(losses.sum())

    @property
    def weights(self) -> dict[str, Tensor]:
        """See `Trainer`."""
        return {name: tensor.copy() for name, tensor in self._weights.items()}
