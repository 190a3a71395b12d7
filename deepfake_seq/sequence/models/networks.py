"""Trained networks behind one protocol: compute logits, and convert to and from tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.data.features import Arrays, Tensor
from deepfake_seq.sequence.data.preprocessing import (
    STATISTICS,
    Preprocessor,
    Scaling,
    input_width,
    statistics,
)
from deepfake_seq.sequence.models import autoencoder, sequence_model
from deepfake_seq.sequence.models.cells import Weights
from deepfake_seq.sequence.models.sequence_model import Shapes
from deepfake_seq.untrusted import check_tensors

_BATCH = 256
_NETWORK = "network/"
_MEAN, _SCALE = "preprocessor/mean", "preprocessor/scale"
_WIDE_MEAN, _WIDE_SCALE = "preprocessor/statistics_mean", "preprocessor/statistics_scale"
_WEIGHTS, _BIAS = "logistic/weights", "logistic/bias"


class Network(Protocol):
    """One trained network with its preprocessing."""

    @property
    def parameters(self) -> dict[str, int]:
        """Number of `total` and `trainable` parameters."""
        ...

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name; `restore` rebuilds the network from them."""
        ...

    def logits(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """Return one logit per clip, (N,), for features (N, T, D) and mask (N, T).

        A logit above 0 means fake. The features of masked frames have no effect.
        """
        ...


@runtime_checkable
class LinearPart(Protocol):
    """A network that adds a linear function of a clip's statistics to its logit."""

    def split_logits(self, arrays: Arrays) -> tuple[npt.NDArray[np.float64], Tensor]:
        """Return the logits without that function, (N,), and its terms, float32 (N, S).

        The sum of both is the result of `Network.logits`. Column s D + d is the term of statistic s
        of feature d. A term is 0 if the statistic is that of the mean training clip. S is 0 if the
        network has no such function.
        """
        ...


def mean_logits(networks: Sequence[Network], arrays: Arrays) -> npt.NDArray[np.float64]:
    """Return the mean of the networks' logits, (N,)."""
    return np.asarray(np.mean([network.logits(arrays) for network in networks], axis=0))


class SequenceNetwork:
    """A sequence model, run in NumPy regardless of the framework that trained it.

    Args:
        preprocessor: Preprocessing of its inputs.
        weights: Weights by their names in `sequence_model.shapes`.
    """

    def __init__(self, preprocessor: Preprocessor, weights: Weights) -> None:
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
        frames, statistics = self._preprocessor.frames, self._preprocessor.statistics
        wide = {_WIDE_MEAN: statistics.mean, _WIDE_SCALE: statistics.scale}
        return {
            _MEAN: frames.mean,
            _SCALE: frames.scale,
            **(wide if self._preprocessor.config.statistics else {}),
            **{f"{_NETWORK}{name}": tensor for name, tensor in self._weights.items()},
        }

    def logits(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """See `Network`."""
        features, mask = arrays
        logits: list[npt.NDArray[Any]] = [np.zeros(0)]
        for start in range(0, len(mask), _BATCH):
            batch = slice(start, start + _BATCH)
            inputs = self._preprocessor.apply(features[batch], mask[batch])
            config = self._preprocessor.config
            logits.append(sequence_model.run(config, self._weights, inputs))
        return np.concatenate(logits, dtype=np.float64)

    def split_logits(self, arrays: Arrays) -> tuple[npt.NDArray[np.float64], Tensor]:
        """See `LinearPart`."""
        config = self._preprocessor.config
        inputs = self._preprocessor.apply(*arrays)
        logits = sequence_model.run(config, self._weights, inputs).astype(np.float64)
        terms = inputs.statistics
        if config.statistics:
            terms = terms * self._weights[sequence_model.WIDE_KERNEL][:, 0]
        return logits - terms.sum(axis=1, dtype=np.float64), terms


class LogisticNetwork:
    """Logistic regression on statistics of a clip's valid frames.

    Args:
        inputs: Set of statistics; see `preprocessing.statistics`.
        weights: Weight of each statistic, not standardised; float32 (S,).
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


def restore(config: ModelConfig, width: int, tensors: Mapping[str, Tensor]) -> Network:
    """Rebuild a network from its `tensors`.

    Args:
        config: Settings of the model.
        width: Width D of the features.
        tensors: Untrusted input.

    Raises:
        ValueError: The tensors do not fit the model; the message names one of them.
    """
    if config.name == "logistic":
        check_tensors(tensors, {_WEIGHTS: (STATISTICS[config.inputs] * width,), _BIAS: (1,)})
        return LogisticNetwork(config.inputs, tensors[_WEIGHTS], tensors[_BIAS])
    if config.name == "autoencoder":
        check_tensors(tensors, autoencoder.shapes(width))
        if tensors["preprocessor/residual_scale"][0] <= 0:
            raise ValueError("preprocessor/residual_scale must be above 0")
        return autoencoder.AutoencoderNetwork(tensors)
    inputs = input_width(config.inputs, width)
    shapes = sequence_model.shapes(config, width)
    scalings: Shapes = {_MEAN: (inputs,), _SCALE: (inputs,)}
    if config.statistics:
        count = (STATISTICS[config.statistics] * width,)
        scalings |= {_WIDE_MEAN: count, _WIDE_SCALE: count}
    check_tensors(
        tensors, scalings | {f"{_NETWORK}{name}": shape for name, shape in shapes.items()}
    )
    for name in (_SCALE, _WIDE_SCALE):
        if name in scalings and (tensors[name] <= 0).any():
            raise ValueError(f"{name} must be above 0. Received: {tensors[name].min():g}")
    none = np.zeros(0, dtype=np.float32)
    preprocessor = Preprocessor(
        config,
        Scaling(tensors[_MEAN], tensors[_SCALE]),
        Scaling(tensors.get(_WIDE_MEAN, none), tensors.get(_WIDE_SCALE, none)),
    )
    weights = {name: tensors[f"{_NETWORK}{name}"] for name in shapes}
    return SequenceNetwork(preprocessor, weights)


def unscaled(config: ModelConfig, width: int, weights: Weights) -> Network:
    """Build a network that does not standardise its inputs, such as the head of a CNN.

    Args:
        config: Settings of the model.
        width: Width D of the features.
        weights: Weights by their names in `sequence_model.shapes`.

    Raises:
        ValueError: The weights do not fit the model.
    """
    inputs = input_width(config.inputs, width)
    scaling = {_MEAN: np.zeros(inputs, np.float32), _SCALE: np.ones(inputs, np.float32)}
    tensors = {f"{_NETWORK}{name}": tensor for name, tensor in weights.items()}
    return restore(config, width, {**scaling, **tensors})
