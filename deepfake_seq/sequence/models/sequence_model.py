"""The sequence models in NumPy: the same numbers as Keras's, without a framework to import.

A clip is judged in milliseconds; importing TensorFlow would take seconds. This module says which
tensors each model has, and which layers it is made of.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.data.features import Mask, Tensor
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

_GATES = {"gru": 3, "lstm": 4}


def shapes(config: ModelConfig, width: int) -> Shapes:
    """The names and shapes of a model's weights, in Keras's order.

    Args:
        config: Which model; not logistic regression.
        width: W of its inputs.
    """
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
    found: Shapes = {}
    for number, units in enumerate(config.units, start=1):
        for cell in _cells(config, number):
            gates = _GATES[config.name] * units
            found[f"{cell}/kernel"] = (width, gates)
            found[f"{cell}/recurrent_kernel"] = (units, gates)
            found[f"{cell}/bias"] = (2, gates) if config.name == "gru" else (gates,)
        width = units * len(_cells(config, number))
        if number < len(config.units):
            for name in ("gamma", "beta", "moving_mean", "moving_variance"):
                found[f"norm_{number}/{name}"] = (width,)
    return {
        **found,
        **_dense_shapes("dense", width, DENSE_UNITS),
        **_dense_shapes("logit", DENSE_UNITS, 1),
    }


def trainable(name: str) -> bool:
    """Whether training changes the weights called `name` by gradients."""
    return not name.endswith(("moving_mean", "moving_variance"))


def run(config: ModelConfig, weights: Weights, shown: Tensor, mask: Mask) -> Tensor:
    """One logit a clip, float32 (N,).

    Args:
        config: Which model; not logistic regression.
        weights: What `shapes` names.
        shown: float32 (N, T, W), preprocessed.
        mask: bool (N, T), the valid frames first.
    """
    return Model(config).forward(weights, shown, mask)


class Model:
    """A sequence model, layer by layer; its weights are elsewhere.

    Args:
        config: Which model; not logistic regression.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._layers = _LAYERS[config.name](config)

    def forward(
        self,
        weights: Weights,
        shown: Tensor,
        mask: Mask,
        generator: np.random.Generator | None = None,
    ) -> Tensor:
        """One logit a clip, float32 (N,); see `run`.

        Args:
            weights: What `shapes` names.
            shown: float32 (N, T, W).
            mask: bool (N, T).
            generator: Of what is random in training; None to judge.
        """
        # The frames first; what stands in masked ones must not matter, whatever it is.
        x = np.ascontiguousarray(shown.transpose(1, 0, 2))
        valid = mask.T[..., None].astype(np.float32)
        for layer in self._layers:
            x = layer.forward(weights, x, valid, generator)
        return x[:, 0]

    def backward(self, weights: Weights, gradient: Tensor) -> Gradients:
        """The gradients of the weights, from that of the logits, (N,), of the last `forward`."""
        gradients: Gradients = {}
        x: Tensor | None = gradient[:, None]
        for number, layer in reversed(list(enumerate(self._layers))):
            assert x is not None, "only the first layer's inputs need no gradient"
            x = layer.backward(weights, x, gradients, inputs=number > 0)
        return gradients


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
    """Each frame by itself; the mean of the valid frames' logits."""
    hidden = [Dense(f"dense_{units}", relu=True) for units in FRAME_UNITS]
    return [*hidden, Dropout(config.dropout), Dense("frame_logit"), MaskedMean()]


def _attention(config: ModelConfig) -> list[Layer]:
    return [MaskedMean(), ChannelAttention("attention"), Dropout(config.dropout), Dense("logit")]


def _frame_attention(config: ModelConfig) -> list[Layer]:
    """Channel attention on each frame by itself; the mean of the valid frames' logits."""
    attention = ChannelAttention("attention")
    return [attention, Dropout(config.dropout), Dense("frame_logit"), MaskedMean()]


def _cells(config: ModelConfig, number: int) -> list[str]:
    """The cells of a layer, the one that reads forwards first."""
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
