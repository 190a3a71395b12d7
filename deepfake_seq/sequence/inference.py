"""The sequence models in NumPy: the same numbers as Keras's, without a framework to import.

A clip is judged in milliseconds; importing TensorFlow would take seconds. So networks are trained
by Keras and run by this module, which also says which tensors each of them has. Equations are those
of the Keras layers in inference mode: `GRU(reset_after=True)` (Cho et al., 2014), `LSTM`
(Hochreiter and Schmidhuber, 1997), `BatchNormalization` (Ioffe and Szegedy, 2015).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.architecture import DENSE_UNITS, FRAME_UNITS

Tensor = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Weights = Mapping[str, Tensor]
Shapes = dict[str, tuple[int, ...]]

_EPSILON = 1e-3
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
    return _MODELS[config.name](config, weights, shown, mask)[:, 0]


def _recurrent(config: ModelConfig, weights: Weights, shown: Tensor, mask: Mask) -> Tensor:
    x = shown
    for number in range(1, len(config.units) + 1):
        cells = _cells(config, number)
        steps = [
            _STEPS[config.name](weights, cell, x, mask, backwards=bool(direction))
            for direction, cell in enumerate(cells)
        ]
        if number == len(config.units):
            # What each direction has seen when it is through.
            x = np.concatenate([own[:, -1 if not way else 0] for way, own in enumerate(steps)], 1)
        else:
            x = _normalised(weights, f"norm_{number}", np.concatenate(steps, axis=2))
    x = np.maximum(_dense_layer(weights, "dense", x), 0)
    return _dense_layer(weights, "logit", x)


def _gru(weights: Weights, cell: str, x: Tensor, mask: Mask, *, backwards: bool) -> Tensor:
    """The state after every frame, (N, T, U); a masked frame leaves it as it was."""
    recurrent, bias = weights[f"{cell}/recurrent_kernel"], weights[f"{cell}/bias"]
    units = len(recurrent)
    inputs = x @ weights[f"{cell}/kernel"] + bias[0]  # of all frames at once
    state = np.zeros((len(x), units), dtype=np.float32)
    states = np.empty((*x.shape[:2], units), dtype=np.float32)
    for frame in _order(x.shape[1], backwards):
        inner = state @ recurrent + bias[1]
        own = inputs[:, frame]
        update = _sigmoid(own[:, :units] + inner[:, :units])
        reset = _sigmoid(own[:, units : 2 * units] + inner[:, units : 2 * units])
        candidate = np.tanh(own[:, 2 * units :] + reset * inner[:, 2 * units :])
        new = update * state + (1 - update) * candidate
        state = np.where(mask[:, frame, None], new, state)
        states[:, frame] = state
    return states


def _lstm(weights: Weights, cell: str, x: Tensor, mask: Mask, *, backwards: bool) -> Tensor:
    """The output after every frame, (N, T, U); a masked frame leaves it as it was."""
    recurrent = weights[f"{cell}/recurrent_kernel"]
    inputs = x @ weights[f"{cell}/kernel"] + weights[f"{cell}/bias"]
    output, memory = (np.zeros((len(x), len(recurrent)), dtype=np.float32) for _ in range(2))
    outputs = np.empty((*x.shape[:2], len(recurrent)), dtype=np.float32)
    for frame in _order(x.shape[1], backwards):
        gates = np.split(inputs[:, frame] + output @ recurrent, 4, axis=1)
        let_in, forget, out = _sigmoid(gates[0]), _sigmoid(gates[1]), _sigmoid(gates[3])
        kept = forget * memory + let_in * np.tanh(gates[2])
        valid = mask[:, frame, None]
        output = np.where(valid, out * np.tanh(kept), output)
        memory = np.where(valid, kept, memory)
        outputs[:, frame] = output
    return outputs


def _frames(config: ModelConfig, weights: Weights, shown: Tensor, mask: Mask) -> Tensor:
    """Each frame by itself; the mean of the valid frames' logits."""
    x = shown
    for units in FRAME_UNITS:
        x = np.maximum(_dense_layer(weights, f"dense_{units}", x), 0)
    return _mean_of_valid(_dense_layer(weights, "frame_logit", x), mask)


def _attention(config: ModelConfig, weights: Weights, shown: Tensor, mask: Mask) -> Tensor:
    pooled = _mean_of_valid(shown, mask)
    attended = pooled * _sigmoid(_dense_layer(weights, "attention", pooled))
    return _dense_layer(weights, "logit", attended)


def _dense_layer(weights: Weights, name: str, x: Tensor) -> Tensor:
    return np.asarray(x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"])


def _normalised(weights: Weights, name: str, x: Tensor) -> Tensor:
    scale = weights[f"{name}/gamma"] / np.sqrt(weights[f"{name}/moving_variance"] + _EPSILON)
    return np.asarray((x - weights[f"{name}/moving_mean"]) * scale + weights[f"{name}/beta"])


def _mean_of_valid(values: Tensor, mask: Mask) -> Tensor:
    held = mask[..., None].astype(np.float32)
    return np.asarray((values * held).sum(axis=1) / np.maximum(held.sum(axis=1), 1))


def _sigmoid(x: Tensor) -> Tensor:
    # By tanh, which does not overflow.
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), dtype=np.float32)


def _order(frames: int, backwards: bool) -> range:
    return range(frames - 1, -1, -1) if backwards else range(frames)


def _cells(config: ModelConfig, number: int) -> list[str]:
    """The cells of a layer, the one that reads forwards first."""
    layer, cell = f"{config.name}_{number}", f"{config.name}_cell"
    if not config.bidirectional:
        return [f"{layer}/{cell}"]
    return [f"bi{layer}/{way}_{layer}/{cell}" for way in ("forward", "backward")]


def _dense_shapes(name: str, width: int, units: int) -> Shapes:
    return {f"{name}/kernel": (width, units), f"{name}/bias": (units,)}


_STEPS: dict[str, Callable[..., Tensor]] = {"gru": _gru, "lstm": _lstm}
_MODELS: dict[str, Callable[[ModelConfig, Weights, Tensor, Mask], Tensor]] = {
    "gru": _recurrent,
    "lstm": _recurrent,
    "dense": _frames,
    "attention": _attention,
}
