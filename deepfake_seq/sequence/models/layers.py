"""Layers in NumPy, forward and backward; arrays are (..., W)."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from deepfake_seq.sequence.data.features import Tensor
from deepfake_seq.sequence.models.cells import Cell, Gradients, Weights, sigmoid

NORM_EPSILON = 1e-3
NORM_MOMENTUM = 0.99
_MASK_EPSILON = 1e-7  # added by Keras to the number of valid frames


class Layer(Protocol):
    """One layer. `backward` follows `forward`, with the same weights."""

    def forward(
        self, weights: Weights, x: Tensor, valid: Tensor, generator: np.random.Generator | None
    ) -> Tensor:
        """Return the output of the layer.

        Args:
            weights: Weights of the model, by name.
            x: float32 (T, N, W), or (N, W) after the frames were pooled.
            valid: float32 (T, N, 1); 1 for a valid frame, else 0.
            generator: Random generator in training; None in inference.
        """
        ...

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """Return the gradient of the inputs if `inputs`; add the weights' to `gradients`."""
        ...


class Dense:
    """x W + b, optionally followed by ReLU."""

    def __init__(self, name: str, *, relu: bool = False) -> None:
        self._name = name
        self._relu = relu

    def forward(
        self, weights: Weights, x: Tensor, valid: Tensor, generator: np.random.Generator | None
    ) -> Tensor:
        """See `Layer`."""
        y = x @ weights[f"{self._name}/kernel"]
        y += weights[f"{self._name}/bias"]
        if self._relu:
            np.maximum(y, 0, out=y)
        self._x, self._y = x, y
        return np.asarray(y)

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """See `Layer`."""
        if self._relu:
            gradient = gradient * (self._y > 0)
        rows = gradient.reshape(-1, gradient.shape[-1])
        gradients[f"{self._name}/kernel"] = self._x.reshape(-1, self._x.shape[-1]).T @ rows
        gradients[f"{self._name}/bias"] = rows.sum(axis=0)
        return gradient @ weights[f"{self._name}/kernel"].T if inputs else None


class Dropout:
    """Sets inputs to 0 at random in training, and scales the others up."""

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def forward(
        self, weights: Weights, x: Tensor, valid: Tensor, generator: np.random.Generator | None
    ) -> Tensor:
        """See `Layer`."""
        if generator is None or not self._rate:
            self._kept = np.ones(1, dtype=np.float32)
            return x
        kept = generator.random(x.shape, dtype=np.float32) >= self._rate
        self._kept = np.asarray(kept / np.float32(1 - self._rate), dtype=np.float32)
        return np.asarray(x * self._kept)

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """See `Layer`."""
        return gradient * self._kept


class BatchNorm:
    """Batch normalisation over valid frames (Ioffe and Szegedy, 2015).

    Training updates the moving mean and variance, which are in the weights.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def forward(
        self, weights: Weights, x: Tensor, valid: Tensor, generator: np.random.Generator | None
    ) -> Tensor:
        """See `Layer`."""
        gamma, beta, mean, variance = (
            weights[f"{self._name}/{name}"]
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        if generator is not None:
            count = valid.sum() + np.float32(_MASK_EPSILON)
            batch_mean = (x * valid).sum(axis=(0, 1)) / count
            batch_variance = (np.square(x - batch_mean) * valid).sum(axis=(0, 1)) / count
            mean += (batch_mean - mean) * np.float32(1 - NORM_MOMENTUM)
            variance += (batch_variance - variance) * np.float32(1 - NORM_MOMENTUM)
            mean, variance = batch_mean, batch_variance
            self._valid, self._count = valid, count
        self._deviation = np.sqrt(variance + np.float32(NORM_EPSILON))
        self._normal = (x - mean) / self._deviation
        return np.asarray(self._normal * gamma + beta)

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """See `Layer`."""
        normal, valid = self._normal, self._valid
        gradients[f"{self._name}/gamma"] = (gradient * normal).sum(axis=(0, 1))
        gradients[f"{self._name}/beta"] = gradient.sum(axis=(0, 1))
        scaled = gradient * weights[f"{self._name}/gamma"]
        # Every output depends on the mean and on the variance of all valid frames.
        shared = scaled.sum(axis=(0, 1)) + normal * (scaled * normal).sum(axis=(0, 1))
        return np.asarray((scaled - valid * shared / self._count) / self._deviation)


class Recurrent:
    """A recurrent layer: one cell, or two for a bidirectional layer.

    Args:
        cells: The forward cell, then the backward cell, if any.
        sequences: Whether to output every frame, or only the final output of each cell.
    """

    def __init__(self, cells: list[Cell], *, sequences: bool) -> None:
        self._cells = cells
        self._sequences = sequences

    def forward(
        self, weights: Weights, x: Tensor, valid: Tensor, generator: np.random.Generator | None
    ) -> Tensor:
        """See `Layer`."""
        outputs = [cell.forward(weights, x, valid) for cell in self._cells]
        self._frames, self._units = len(x), outputs[0].shape[2]
        if not self._sequences:
            outputs = [output[self._end(way)] for way, output in enumerate(outputs)]
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """See `Layer`."""
        total: Tensor | None = None
        for way, cell in enumerate(self._cells):
            by_output = gradient[..., way * self._units : (way + 1) * self._units]
            if not self._sequences:
                by_last = by_output
                by_output = np.zeros((self._frames, *by_last.shape), dtype=np.float32)
                by_output[self._end(way)] = by_last
            by_input = cell.backward(weights, by_output, gradients, inputs=inputs)
            total = by_input if total is None or by_input is None else total + by_input
        return total

    @staticmethod
    def _end(way: int) -> int:
        return 0 if way else -1


class MaskedMean:
    """Mean over the valid frames, (N, W); 0 without any."""

    def forward(
        self, weights: Weights, x: Tensor, valid: Tensor, generator: np.random.Generator | None
    ) -> Tensor:
        """See `Layer`."""
        self._fraction = valid / np.maximum(valid.sum(axis=0), 1)
        return np.asarray((x * self._fraction).sum(axis=0))

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """See `Layer`."""
        return gradient * self._fraction if inputs else None


class ChannelAttention:
    """x · sigmoid(x W + b)."""

    def __init__(self, name: str) -> None:
        self._dense = Dense(name)

    def forward(
        self, weights: Weights, x: Tensor, valid: Tensor, generator: np.random.Generator | None
    ) -> Tensor:
        """See `Layer`."""
        self._x = x
        self._gate = sigmoid(self._dense.forward(weights, x, valid, generator))
        return x * self._gate

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """See `Layer`."""
        inner = gradient * self._x * self._gate * (1 - self._gate)
        through = self._dense.backward(weights, inner, gradients, inputs=inputs)
        return None if through is None else gradient * self._gate + through
