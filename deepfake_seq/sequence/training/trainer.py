"""What trains a network, step by step: NumPy on a CPU, or Keras."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.data.features import Mask, Tensor
from deepfake_seq.sequence.models.cells import Weights
from deepfake_seq.sequence.models.sequence_model import shapes


class Trainer(Protocol):
    """Trains networks of one architecture with Adam on the focal loss, one after the other."""

    def start(self, weights: Weights, seed: int) -> None:
        """Begin a training.

        Args:
            weights: Where it starts; what `inference.shapes` names.
            seed: Of the dropout.
        """
        ...

    def step(
        self, shown: Tensor, mask: Mask, targets: Tensor, weights: Tensor, batch_size: int
    ) -> float:
        """One step of the optimizer; the sum of the clips' losses before it.

        Args:
            shown: float32 (B, T, W), B at most `batch_size`.
            mask: bool (B, T).
            targets: float32 (B,); 1 is fake.
            weights: float32 (B,), of the clips.
            batch_size: What the sum of the losses is divided by, so that every clip counts the same
                in a last, smaller batch.
        """
        ...

    @property
    def weights(self) -> dict[str, Tensor]:
        """A copy of the weights as they are now, by their names in `inference.shapes`."""
        ...


def build_trainer(
    runtime: str, config: ModelConfig, shape: tuple[int, int], gamma: float, learning_rate: float
) -> Trainer:
    """The workbench of `runtime`; imports only what it needs.

    Args:
        runtime: One of `config.TRAINERS`.
        config: Which model.
        shape: T and W of its inputs.
        gamma: Of the focal loss.
        learning_rate: Adam's.
    """
    if runtime == "keras":
        from deepfake_seq.sequence.training.keras_trainer import KerasTrainer

        return KerasTrainer.of(config, *shape, gamma, learning_rate)
    from deepfake_seq.sequence.training.numpy_trainer import NumpyTrainer

    return NumpyTrainer(config, gamma, learning_rate)


def initial_weights(config: ModelConfig, width: int, seed: int) -> dict[str, Tensor]:
    """Weights such as Keras's layers begin with, from NumPy: the same whatever trains them.

    Kernels are uniform (Glorot and Bengio, 2010), recurrent ones orthogonal (Saxe, McClelland and
    Ganguli, 2013), an LSTM's forget gates open (Jozefowicz, Zaremba and Sutskever, 2015).

    Args:
        config: Which model.
        width: W of its inputs.
        seed: Of the numbers.
    """
    generator = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes(config, width).items():
        role = name.rsplit("/", 1)[-1]
        values = np.zeros(shape)
        if role == "kernel":
            limit = np.sqrt(6 / sum(shape))
            values = generator.uniform(-limit, limit, shape)
        elif role == "recurrent_kernel":
            values = _orthogonal(shape, generator)
        elif role in ("gamma", "moving_variance"):
            values = np.ones(shape)
        elif role == "bias" and "lstm" in name:
            units = shape[0] // 4
            values[units : 2 * units] = 1
        weights[name] = values.astype(np.float32)
    return weights


def _orthogonal(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """A wide matrix whose rows are orthogonal and of length 1, uniform among such."""
    q, r = np.linalg.qr(generator.standard_normal(shape[::-1]))
    return np.asarray((q * np.sign(np.diag(r))).T)
