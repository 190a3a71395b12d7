"""Training in NumPy: on a CPU faster than the frameworks, and nothing to import or to compile."""

from __future__ import annotations

import numpy as np

from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.data.features import Mask, Tensor
from deepfake_seq.sequence.models.cells import Weights
from deepfake_seq.sequence.models.sequence_model import Model, trainable
from deepfake_seq.sequence.training.losses import focal_gradient, focal_losses

_BETAS, _EPSILON = (0.9, 0.999), 1e-7


class NumpyTrainer:
    """See `Trainer`.

    Adam (Kingma and Ba, 2015) with Keras's defaults.

    Args:
        config: Which model.
        gamma: Of the focal loss.
        learning_rate: Adam's.
    """

    def __init__(self, config: ModelConfig, gamma: float, learning_rate: float) -> None:
        self._model = Model(config)
        self._gamma = gamma
        self._learning_rate = learning_rate

    def start(self, weights: Weights, seed: int) -> None:
        """See `Trainer`."""
        self._weights = {name: np.array(own, dtype=np.float32) for name, own in weights.items()}
        self._moments = {
            name: (np.zeros_like(own), np.zeros_like(own))
            for name, own in self._weights.items()
            if trainable(name)
        }
        self._steps = 0
        self._generator = np.random.default_rng(seed)

    def step(
        self, shown: Tensor, mask: Mask, targets: Tensor, weights: Tensor, batch_size: int
    ) -> float:
        """See `Trainer`."""
        logits = self._model.forward(self._weights, shown, mask, self._generator)
        losses = focal_losses(targets, logits, self._gamma) * weights
        gradient = focal_gradient(targets, logits, self._gamma) * weights / np.float32(batch_size)
        gradients = self._model.backward(self._weights, gradient)
        self._steps += 1
        first, second = (1 - beta**self._steps for beta in _BETAS)
        rate = np.float32(self._learning_rate * np.sqrt(second) / first)
        for name, (mean, square) in self._moments.items():
            own = gradients[name]
            mean += (own - mean) * np.float32(1 - _BETAS[0])
            square += (own * own - square) * np.float32(1 - _BETAS[1])
            self._weights[name] -= rate * mean / (np.sqrt(square) + np.float32(_EPSILON))
        return float(losses.sum())

    @property
    def weights(self) -> dict[str, Tensor]:
        """See `Trainer`."""
        return {name: own.copy() for name, own in self._weights.items()}
