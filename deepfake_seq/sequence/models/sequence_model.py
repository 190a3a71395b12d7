"""The sequence models in NumPy: the same numbers as in Keras, without importing a framework.

Inference on one clip takes milliseconds, importing TensorFlow takes seconds. This module defines
the tensors and the layers of each model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from deepfake_seq.config import ModelConfig
from deepfake_seq.face_regions import REGIONS
from deepfake_seq.sequence.data.features import Tensor
from deepfake_seq.sequence.data.preprocessing import STATISTICS, Inputs, input_width
from deepfake_seq.sequence.models.architecture import DENSE_UNITS, FRAME_UNITS
from deepfake_seq.sequence.models.cells import CELLS, Gradients, Weights
from deepfake_seq.sequence.models.layers import (
    BatchNorm,
    ChannelAttention,
    Dense,
    Dropout,
    Layer,
    MaskedMean,
    Recurrent,
)

Shapes = dict[str, tuple[int, ...]]

MASK_HEAD = "masks"
"""Name of the layer of the second output, which predicts the replaced shares of face regions."""

WIDE_KERNEL = "wide/kernel"
"""Name of the weights of a clip's statistics, which are added to the logit."""

_GATES = {"gru": 3, "lstm": 4}


def shapes(config: ModelConfig, width: int) -> Shapes:
    """Return the names and shapes of a model's weights, in the order of Keras.

    Args:
        config: Settings of the model; not logistic regression.
        width: Width D of the features.
    """
    wide: Shapes = {}
    if config.statistics:
        wide[WIDE_KERNEL] = (STATISTICS[config.statistics] * width, 1)
    width = input_width(config.inputs, width)
    if config.name == "dense":
        sizes = (width, *FRAME_UNITS, 1)
        names = [*(f"dense_{units}" for units in FRAME_UNITS), "frame_logit"]
        layers = zip(names, sizes[:-1], sizes[1:], strict=True)
        return {key: shape for layer in layers for key, shape in _dense_shapes(*layer).items()}
    if config.name == "attention":
        return {**_dense_shapes("attention", width, width), **_dense_shapes("logit", width, 1)}
    if config.name == "frame_attention":
        return {
            **_dense_shapes("attention", width, width),
            **_dense_shapes("frame_logit", width, 1),
        }
    recurrent: Shapes = {}
    for number, units in enumerate(config.units, start=1):
        for cell in _cells(config, number):
            gates = _GATES[config.name] * units
            recurrent[f"{cell}/kernel"] = (width, gates)
            recurrent[f"{cell}/recurrent_kernel"] = (units, gates)
            recurrent[f"{cell}/bias"] = (2, gates) if config.name == "gru" else (gates,)
        width = units * len(_cells(config, number))
        if number < len(config.units):
            for name in ("gamma", "beta", "moving_mean", "moving_variance"):
                recurrent[f"norm_{number}/{name}"] = (width,)
    return {
        **recurrent,
        **_dense_shapes("dense", width, DENSE_UNITS),
        **_dense_shapes("logit", DENSE_UNITS, 1),
        **wide,
    }


def mask_shapes(config: ModelConfig, width: int) -> Shapes:
    """Return the names and shapes of the second output's weights.

    It reads the inputs of the layer that computes the logit. Only training uses it.

    Args:
        config: Settings of the model; one of those that `has_layers`.
        width: Width D of the features.
    """
    kernels = [
        shape for name, shape in shapes(config, width).items() if name.endswith("logit/kernel")
    ]
    return _dense_shapes(MASK_HEAD, kernels[0][0], len(REGIONS))


def has_layers(config: ModelConfig) -> bool:
    """Return whether a model has the layers of this module, and is trained by a `Trainer`."""
    return config.name in _LAYERS


def trainable(name: str) -> bool:
    """Return whether the weights called `name` are trained by gradient descent."""
    return not name.endswith(("moving_mean", "moving_variance"))


def run(config: ModelConfig, weights: Weights, inputs: Inputs) -> Tensor:
    """Return one logit per clip, float32 (N,).

    Args:
        config: Settings of the model; not logistic regression.
        weights: Weights by their names in `shapes`.
        inputs: Preprocessed features of N clips.
    """
    return Model(config).forward(weights, inputs)


class Model:
    """The layers of a sequence model, without its weights.

    Args:
        config: Settings of the model; one of those that `has_layers`.
        masks: Whether to compute the second output.

    Attributes:
        mask_logits: Second output of the last `forward`, float32 (N, 6); with `masks` only.
    """

    mask_logits: Tensor

    def __init__(self, config: ModelConfig, *, masks: bool = False) -> None:
        layers = _LAYERS[config.name](config)
        end = next(n for n, layer in enumerate(layers, start=1) if isinstance(layer, Dropout))
        self._trunk, self._head = layers[:end], layers[end:]
        self._mask_head: list[Layer] = []
        if masks:
            of_frames = isinstance(self._head[-1], MaskedMean)
            self._mask_head = [Dense(MASK_HEAD), *([MaskedMean()] if of_frames else [])]
        self._wide = bool(config.statistics)

    def forward(
        self,
        weights: Weights,
        inputs: Inputs,
        generator: np.random.Generator | None = None,
    ) -> Tensor:
        """Return one logit per clip, float32 (N,); see `run`.

        Args:
            weights: Weights by their names in `shapes`.
            inputs: Preprocessed features of N clips.
            generator: Random generator in training; None in inference.
        """
        x = inputs.frames.transpose(1, 0, 2)  # (T, N, W)
        valid = inputs.mask.T[..., None].astype(np.float32)
        for layer in self._trunk:
            x = layer.forward(weights, x, valid, generator)
        if self._mask_head:
            self.mask_logits = x
            for layer in self._mask_head:
                self.mask_logits = layer.forward(weights, self.mask_logits, valid, generator)
        for layer in self._head:
            x = layer.forward(weights, x, valid, generator)
        if self._wide:
            self._statistics = inputs.statistics
            x = x + inputs.statistics @ weights[WIDE_KERNEL]
        return x[:, 0]

    def backward(
        self, weights: Weights, gradient: Tensor, mask_gradient: Tensor | None = None
    ) -> Gradients:
        """Return the gradients of the weights.

        Args:
            weights: The weights of the last `forward`.
            gradient: Gradient of its logits, (N,).
            mask_gradient: Gradient of its second output, (N, 6); None without one.
        """
        gradients: Gradients = {}
        if self._wide:
            gradients[WIDE_KERNEL] = self._statistics.T @ gradient[:, None]
        x = _backward(self._head, weights, gradient[:, None], gradients)
        if mask_gradient is not None:
            x = x + _backward(self._mask_head, weights, mask_gradient, gradients)
        first, *others = self._trunk
        x = _backward(others, weights, x, gradients)
        first.backward(weights, x, gradients, inputs=False)
        return gradients


def _backward(
    layers: Sequence[Layer], weights: Weights, gradient: Tensor, gradients: Gradients
) -> Tensor:
    """Return the gradient of the first layer's inputs; add those of the weights."""
    for layer in reversed(layers):
        by_inputs = layer.backward(weights, gradient, gradients, inputs=True)
        assert by_inputs is not None, "it was requested"
        gradient = by_inputs
    return gradient


def _recurrent(config: ModelConfig) -> list[Layer]:
    layers: list[Layer] = []
    for number in range(1, len(config.units) + 1):
        kind, last = CELLS[config.name], number == len(config.units)
        names = _cells(config, number)
        cells = [kind(name, backwards=bool(way)) for way, name in enumerate(names)]
        layers.append(Recurrent(cells, sequences=not last))
        if not last:
            layers.append(BatchNorm(f"norm_{number}"))
    return [*layers, Dense("dense", relu=True), Dropout(config.dropout), Dense("logit")]


def _frames(config: ModelConfig) -> list[Layer]:
    """Dense layers on each frame; the mean of the valid frames' logits."""
    hidden = [Dense(f"dense_{units}", relu=True) for units in FRAME_UNITS]
    return [*hidden, Dropout(config.dropout), Dense("frame_logit"), MaskedMean()]


def _attention(config: ModelConfig) -> list[Layer]:
    return [MaskedMean(), ChannelAttention("attention"), Dropout(config.dropout), Dense("logit")]


def _frame_attention(config: ModelConfig) -> list[Layer]:
    """Channel attention on each frame; the mean of the valid frames' logits."""
    attention = ChannelAttention("attention")
    return [attention, Dropout(config.dropout), Dense("frame_logit"), MaskedMean()]


def _cells(config: ModelConfig, number: int) -> list[str]:
    """Return the names of a layer's cells, the forward cell first."""
    layer, cell = f"{config.name}_{number}", f"{config.name}_cell"
    if not config.bidirectional:
        return [f"{layer}/{cell}"]
    return [f"bi{layer}/{way}_{layer}/{cell}" for way in ("forward", "backward")]


def _dense_shapes(name: str, width: int, units: int) -> Shapes:
    return {f"{name}/kernel": (width, units), f"{name}/bias": (units,)}


_LAYERS: dict[str, Callable[[ModelConfig], list[Layer]]] = {
    "gru": _recurrent,
    "lstm": _recurrent,
    "dense": _frames,
    "attention": _attention,
    "frame_attention": _frame_attention,
}
