"""Trained networks behind one protocol: from features to logits, and to tensors and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.features import Arrays
from deepfake_seq.sequence.models import build_model
from deepfake_seq.sequence.preprocessing import Preprocessor, deltas, input_width

Tensor = npt.NDArray[np.float32]
Shapes = dict[str, tuple[int, ...]]

_BATCH = 256
_MEAN, _SCALE = "preprocessor/mean", "preprocessor/scale"
_WEIGHTS, _BIAS = "logistic/weights", "logistic/bias"


class Network(Protocol):
    """One trained network with its preprocessing."""

    @property
    def parameters(self) -> dict[str, int]:
        """How many numbers the network holds (`total`), and how many are `trainable`."""
        ...

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All its numbers by name; `restore` makes the network from them again."""
        ...

    def logits(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """One logit a clip, (N,), for features (N, T, D) and mask (N, T); above 0 means fake.

        What stands in masked rows of the features changes nothing.
        """
        ...


class KerasNetwork:
    """A model of `sequence.models`.

    Networks of one architecture share one `keras.Model`, which takes on the weights of the one that
    is asked: building and tracing a model takes longer than running it.

    Args:
        config: Which model.
        preprocessor: Of its inputs.
        weights: In the order of the model's.
        frames: T.
    """

    def __init__(
        self, config: ModelConfig, frames: int, preprocessor: Preprocessor, weights: list[Tensor]
    ) -> None:
        self._shared = _SharedModel.of(config, frames, len(preprocessor.mean))
        self._preprocessor = preprocessor
        self._weights = weights

    @property
    def parameters(self) -> dict[str, int]:
        """See `Network`."""
        model = self._shared.model
        return {
            "total": sum(math.prod(variable.shape) for variable in model.weights),
            "trainable": sum(math.prod(variable.shape) for variable in model.trainable_weights),
        }

    @property
    def tensors(self) -> dict[str, Tensor]:
        """See `Network`."""
        return {
            _MEAN: self._preprocessor.mean,
            _SCALE: self._preprocessor.scale,
            **dict(zip(_names(self._shared.model), self._weights, strict=True)),
        }

    def logits(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """See `Network`."""
        features, mask = arrays
        model = self._shared.with_weights(self._weights)
        parts = [np.zeros((0, 1))]
        for start in range(0, len(mask), _BATCH):
            own = slice(start, start + _BATCH)
            shown = self._preprocessor.apply(features[own], mask[own])
            parts.append(np.asarray(model.predict_on_batch([shown, mask[own]])))
        return np.concatenate(parts)[:, 0].astype(np.float64)


class _SharedModel:
    """One `keras.Model` for all networks of its architecture."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._current: list[Tensor] | None = None

    @staticmethod
    @lru_cache(maxsize=16)
    def of(config: ModelConfig, frames: int, width: int) -> _SharedModel:
        """The one for these settings, T and W."""
        return _SharedModel(build_model(config, frames, width))

    def with_weights(self, weights: list[Tensor]) -> Any:
        """The model with these weights."""
        if self._current is not weights:
            self.model.set_weights(weights)
            self._current = weights
        return self.model


class LogisticNetwork:
    """Logistic regression on statistics of a clip's valid frames.

    Args:
        inputs: Which statistics; see `statistics`.
        weights: float32 (S,), one for each statistic as it is, not standardised.
        bias: float32 (1,).
    """

    def __init__(self, inputs: str, weights: Tensor, bias: Tensor) -> None:
        self._inputs = inputs
        self._weights = weights
        self._bias = bias

    @property
    def parameters(self) -> dict[str, int]:
        """See `Network`."""
        count = len(self._weights) + 1
        return {"total": count, "trainable": count}

    @property
    def tensors(self) -> dict[str, Tensor]:
        """See `Network`."""
        return {_WEIGHTS: self._weights, _BIAS: self._bias}

    def logits(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """See `Network`."""
        rows = statistics(arrays, self._inputs).astype(np.float64)
        return np.asarray(rows @ self._weights.astype(np.float64) + float(self._bias[0]))


def statistics(arrays: Arrays, inputs: str) -> Tensor:
    """What a logistic regression sees of each clip.

    Args:
        arrays: Features (N, T, D) and mask (N, T), at least one frame valid in each clip.
        inputs: `features` for mean and deviation over the valid frames, `delta` for the mean |Δ|
            from one to the next, `both` for all three; `mean` for the mean alone.

    Returns:
        float32 (N, S), S being D for each statistic.
    """
    features, mask = arrays
    values = np.where(mask[..., None], features, 0).astype(np.float32)
    count = mask.sum(axis=1, keepdims=True).astype(np.float32)
    mean: Tensor = values.sum(axis=1) / count
    if inputs == "mean":
        return mean
    change: Tensor = deltas(features, mask).sum(axis=1) / np.maximum(count - 1, 1)
    if inputs == "delta":
        return change
    apart = np.where(mask[..., None], values - mean[:, None], 0)
    deviation = np.sqrt(np.square(apart).sum(axis=1) / count)
    chosen = [mean, deviation] if inputs == "features" else [mean, deviation, change]
    return np.concatenate(chosen, axis=1)


def restore(config: ModelConfig, frames: int, width: int, tensors: Mapping[str, Tensor]) -> Network:
    """The network whose `tensors` these are.

    Args:
        config: Which model.
        frames: T of the features.
        width: D of the features.
        tensors: From anybody.

    Raises:
        ValueError: They are not those of such a network; the message names one.
    """
    if config.name == "logistic":
        count = {"features": 2, "delta": 1, "both": 3}[config.inputs]
        _check(tensors, {_WEIGHTS: (count * width,), _BIAS: (1,)})
        return LogisticNetwork(config.inputs, tensors[_WEIGHTS], tensors[_BIAS])
    shown = input_width(config.inputs, width)
    scaling: Shapes = {_MEAN: (shown,), _SCALE: (shown,)}
    # Before a model is built, which takes as much memory as the file of settings says.
    _check({name: tensors[name] for name in scaling if name in tensors}, scaling)
    if (tensors[_SCALE] <= 0).any():
        raise ValueError(f"{_SCALE} must be above 0")
    least = shown * shown if config.name == "attention" else shown
    found = sum(tensor.size for tensor in tensors.values())
    if found < least:
        raise ValueError(f"at least {least} numbers are needed. Received: {found}")
    model = _SharedModel.of(config, frames, shown).model
    names = _names(model)
    wanted = dict(zip(names, (tuple(v.shape) for v in model.weights), strict=True))
    _check(tensors, {**scaling, **wanted})
    preprocessor = Preprocessor(
        config.inputs, config.shuffle_frames, tensors[_MEAN], tensors[_SCALE]
    )
    return KerasNetwork(config, frames, preprocessor, [tensors[name] for name in names])


def _check(tensors: Mapping[str, Tensor], wanted: Shapes) -> None:
    odd = sorted(tensors.keys() ^ wanted.keys())
    if odd:
        raise ValueError(f"not the tensors of this model: {', '.join(odd[:4])}")
    for name, shape in wanted.items():
        tensor = tensors[name]
        if tensor.shape != shape or tensor.dtype != np.float32 or not np.isfinite(tensor).all():
            raise ValueError(
                f"{name} must be finite float32 {shape}. Received: {tensor.dtype} {tensor.shape}"
            )


def _names(model: Any) -> list[str]:
    return [f"network/{variable.path}" for variable in model.weights]
