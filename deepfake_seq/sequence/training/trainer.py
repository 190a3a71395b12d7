"""The interface of the trainers: NumPy on a CPU, or Keras."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.data.features import Tensor
from deepfake_seq.sequence.models.cells import Weights
from deepfake_seq.sequence.models.sequence_model import (
    WIDE_KERNEL,
    Shapes,
    mask_shapes,
    shapes,
)
from deepfake_seq.sequence.training.objective import Objective, TrainingBatch


class Trainer(Protocol):
    """Trains networks of one architecture, one at a time, with Adam.

    The objective is the mean focal loss of the clips in a batch, plus the L2 penalty of the wide
    part. With a second output, it includes `mask_weight` times the mean of `losses.mask_losses`.
    """

    def start(self, weights: Weights, seed: int) -> None:
        """Start training a network.

        Args:
            weights: Initial weights, by their names in `sequence_model.shapes` and, with a second
                output, `mask_shapes`.
            seed: Seed of the dropout.
        """
        ...

    def step(self, batch: TrainingBatch) -> float:
        """Take one optimizer step; return the sum of the clips' losses before it.

        The loss of the second output is not part of the result.
        """
        ...

    @property
    def weights(self) -> dict[str, Tensor]:
        """A copy of the current weights, by the names in `start`."""
        ...


def build_trainer(
    runtime: str, config: ModelConfig, shape: tuple[int, int], objective: Objective
) -> Trainer:
    """Create the trainer of a runtime; imports a framework only if that needs one.

    Args:
        runtime: One of `config.TRAINERS`.
        config: Settings of the model.
        shape: Number of frames T and of features D.
        objective: Loss, penalty and learning rate.
    """
    if runtime == "keras":
        from deepfake_seq.sequence.training.keras_trainer import KerasTrainer

        return KerasTrainer.of(config, *shape, objective)
    from deepfake_seq.sequence.training.numpy_trainer import NumpyTrainer

    return NumpyTrainer(config, objective)


def initial_weights(
    config: ModelConfig, width: int, seed: int, *, masks: bool = False
) -> dict[str, Tensor]:
    """Draw the initial weights of a sequence model; see `draw_weights`.

    Args:
        config: Settings of the model.
        width: Number of features D.
        seed: Seed of the random numbers.
        masks: Whether to add those of the second output, which do not change the others.
    """
    all_shapes = shapes(config, width) | (mask_shapes(config, width) if masks else {})
    return draw_weights(all_shapes, seed)


def draw_weights(shapes: Shapes, seed: int) -> dict[str, Tensor]:
    """Draw initial weights as Keras's layers do, but in NumPy: the same for every trainer.

    Kernels are uniform (Glorot and Bengio, 2010), recurrent kernels orthogonal (Saxe, McClelland
    and Ganguli, 2013); biases are 0, but 1 for an LSTM's forget gates, which start open
    (Jozefowicz, Zaremba and Sutskever, 2015). The wide part
    starts at 0: it is linear, and a random start would only add noise.

    Args:
        shapes: Shape of each tensor by name.
        seed: Seed of the random numbers.
    """
    generator = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes.items():
        role = name.rsplit("/", 1)[-1]
        values = np.zeros(shape)
        if role == "kernel" and name != WIDE_KERNEL:
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
    """Draw a wide matrix with orthonormal rows, uniformly among all of them."""
    q, r = np.linalg.qr(generator.standard_normal(shape[::-1]))
    return np.asarray((q * np.sign(np.diag(r))).T)
