"""Trained networks behind one protocol: from features to logits, and to tensors and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.data.features import Arrays, Tensor
from deepfake_seq.sequence.data.preprocessing import Preprocessor, deltas, input_width, valid_rows
from deepfake_seq.sequence.models import sequence_model
from deepfake_seq.sequence.models.cells import Weights
from deepfake_seq.sequence.models.sequence_model import Shapes

_BATCH = 256
_NETWORK = "network/"
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


def mean_logits(networks: Sequence[Network], arrays: Arrays) -> npt.NDArray[np.float64]:
    """The logit of several networks together, (N,): the mean of theirs."""
    return np.asarray(np.mean([network.logits(arrays) for network in networks], axis=0))


class SequenceNetwork:
    """A model of `sequence.inference`, run by NumPy whatever trained it.

    Args:
        config: Which model.
        preprocessor: Of its inputs.
        weights: What `inference.shapes` names.
    """

    def __init__(self, config: ModelConfig, preprocessor: Preprocessor, weights: Weights) -> None:
        self._config = config
        self._preprocessor = preprocessor
        self._weights = weights

    @property
    def parameters(self) -> dict[str, int]:
        """See `Network`."""
        sizes = {name: tensor.size for name, tensor in self._weights.items()}
        return {
            "total": sum(sizes.values()),
            "trainable": sum(
                size for name, size in sizes.items() if sequence_model.trainable(name)
            ),
        }

    @property
    def tensors(self) -> dict[str, Tensor]:
        """See `Network`."""
        return {
            _MEAN: self._preprocessor.mean,
            _SCALE: self._preprocessor.scale,
            **{f"{_NETWORK}{name}": tensor for name, tensor in self._weights.items()},
        }

    def logits(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """See `Network`."""
        features, mask = arrays
        parts: list[npt.NDArray[Any]] = [np.zeros(0)]
        for start in range(0, len(mask), _BATCH):
            own = slice(start, start + _BATCH)
            shown = self._preprocessor.apply(features[own], mask[own])
            parts.append(sequence_model.run(self._config, self._weights, shown, mask[own]))
        return np.concatenate(parts, dtype=np.float64)


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
    values = valid_rows(features, mask)
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


def restore(config: ModelConfig, width: int, tensors: Mapping[str, Tensor]) -> Network:
    """The network whose `tensors` these are.

    Args:
        config: Which model.
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
    own = sequence_model.shapes(config, shown)
    wanted = {f"{_NETWORK}{name}": shape for name, shape in own.items()}
    _check(tensors, {_MEAN: (shown,), _SCALE: (shown,), **wanted})
    if (tensors[_SCALE] <= 0).any():
        raise ValueError(f"{_SCALE} must be above 0")
    preprocessor = Preprocessor(
        config.inputs, config.shuffle_frames, tensors[_MEAN], tensors[_SCALE]
    )
    weights = {name: tensors[f"{_NETWORK}{name}"] for name in own}
    return SequenceNetwork(config, preprocessor, weights)


def unscaled(config: ModelConfig, width: int, weights: Weights) -> Network:
    """A network that is shown the features as they are, such as the head of a CNN.

    Args:
        config: Which model.
        width: D of the features.
        weights: What `inference.shapes` names.

    Raises:
        ValueError: They are not those of such a network.
    """
    shown = input_width(config.inputs, width)
    scaling = {_MEAN: np.zeros(shown, np.float32), _SCALE: np.ones(shown, np.float32)}
    own = {f"{_NETWORK}{name}": tensor for name, tensor in weights.items()}
    return restore(config, width, {**scaling, **own})


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
