"""The layers round the recurrent cells in NumPy, forwards and backwards; arrays (..., W)."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from deepfake_seq.sequence.data.features import Tensor
from deepfake_seq.sequence.models.cells import Cell, Gradients, Weights, sigmoid

NORM_EPSILON = 1e-3
NORM_MOMENTUM = 0.99
_MASK_EPSILON = 1e-7  # what Keras adds to the number of valid frames


class Layer(Protocol):
    """One layer. `backward` belongs to the last `forward`, with the same weights."""

    def forward(
        self, weights: Weights, x: Tensor, valid: Tensor, generator: np.random.Generator | None
    ) -> Tensor:
        """The layer's output.

        Args:
            weights: Of the model, by name.
            x: float32 (T, N, W), or (N, W) once the frames are summed up.
            valid: float32 (T, N, 1); 1 where a frame is valid, else 0.
            generator: Of what is random in training; None to use the layer as it is.
        """
        ...

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """The gradient of its inputs, if `inputs`; those of its weights go into `gradients`."""
        ...


class Dense:
    """x W + b, and ReLU if asked for."""

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
    """Hides inputs at random in training, and makes the others larger for it."""

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

    In training its moving mean and variance, which are in the weights, are brought up to date.
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
        own = gradient * weights[f"{self._name}/gamma"]
        # Every output depends on the mean and on the variance of all valid frames.
        shared = own.sum(axis=(0, 1)) + normal * (own * normal).sum(axis=(0, 1))
        return np.asarray((own - valid * shared / self._count) / self._deviation)


class Recurrent:
    """A cell, or two that read in both directions, side by side.

    Args:
        cells: The one that reads forwards first.
        sequences: Whether all frames' outputs go on, or what each cell has at its end.
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
            outputs = [own[self._end(way)] for way, own in enumerate(outputs)]
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """See `Layer`."""
        total: Tensor | None = None
        for way, cell in enumerate(self._cells):
            own = gradient[..., way * self._units : (way + 1) * self._units]
            if not self._sequences:
                everywhere = np.zeros((self._frames, *own.shape), dtype=np.float32)
                everywhere[self._end(way)] = own
                own = everywhere
            part = cell.backward(weights, own, gradients, inputs=inputs)
            total = part if total is None or part is None else total + part
        return total

    @staticmethod
    def _end(way: int) -> int:
        return 0 if way else -1


class MaskedMean:
    """The mean over the valid frames, (N, W); 0 where there is none."""

    def forward(
        self, weights: Weights, x: Tensor, valid: Tensor, generator: np.random.Generator | None
    ) -> Tensor:
        """See `Layer`."""
        self._share = valid / np.maximum(valid.sum(axis=0), 1)
        return np.asarray((x * self._share).sum(axis=0))

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """See `Layer`."""
        return gradient * self._share if inputs else None


class ChannelAttention:
    """x · sigmoid(x W + b)."""

    def __init__(self, name: str) -> None:
        self._dense = Dense(name)

    def forward(
        self, weights: Weights, x: Tensor, valid: Tensor, generator: np.random.Generator | None
    ) -> Tensor:
        """See `Layer`."""
        self._x = x
        self._share = sigmoid(self._dense.forward(weights, x, valid, generator))
        return x * self._share

    def backward(
        self, weights: Weights, gradient: Tensor, gradients: Gradients, *, inputs: bool
    ) -> Tensor | None:
        """See `Layer`."""
        inner = gradient * self._x * self._share * (1 - self._share)
        through = self._dense.backward(weights, inner, gradients, inputs=inputs)
        return None if through is None else gradient * self._share + through
