"""Adam in NumPy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from deepfake_seq.sequence.data.features import Tensor

_BETAS, _EPSILON = (0.9, 0.999), 1e-7

_BLOCK = 16_384
"""Number of weights that are updated at once: their moments and gradients fit into the cache."""


class Adam:
    """Adam (Kingma and Ba, 2015) with Keras's defaults.

    Args:
        weights: Weights to train, by name; updated in place.
        learning_rate: Step size.
    """

    def __init__(self, weights: Mapping[str, Tensor], learning_rate: float) -> None:
        self._weights = weights
        self._learning_rate = learning_rate
        self._moments = {
            name: (np.zeros_like(tensor), np.zeros_like(tensor)) for name, tensor in weights.items()
        }
        self._steps = 0

    def step(self, gradients: Mapping[str, Tensor]) -> None:
        """Take one step."""
        self._steps += 1
        first, second = (1 - beta**self._steps for beta in _BETAS)
        rate = np.float32(self._learning_rate * np.sqrt(second) / first)
        for name, moments in self._moments.items():
            arrays = (*moments, gradients[name], self._weights[name])
            size = max(_BLOCK * len(arrays[0]) // arrays[0].size, 1)
            for start in range(0, len(arrays[0]), size):
                mean, square, gradient, weights = (array[start : start + size] for array in arrays)
                mean += (gradient - mean) * np.float32(1 - _BETAS[0])
                square += (gradient * gradient - square) * np.float32(1 - _BETAS[1])
                weights -= rate * mean / (np.sqrt(square) + np.float32(_EPSILON))
