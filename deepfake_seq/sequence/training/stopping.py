"""Early stopping."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from deepfake_seq.config import FEW_CLIPS, FEW_CLIPS_EPOCHS, TrainConfig
from deepfake_seq.sequence.data.features import Tensor

SMOOTHED_EPOCHS = 5
"""Number of epochs whose mean validation loss is compared."""


class EarlyStopping:
    """Keeps the weights of the epoch with the lowest smoothed validation loss.

    A loss is averaged with those of the `SMOOTHED_EPOCHS` - 1 epochs before it, and the first
    epochs, up to `minimum`, are never kept. Both are for few validation clips: a single epoch can
    be the best of them by chance, before the network has learnt anything.

    Args:
        minimum: First epoch that may be kept.
        patience: Number of epochs without a lower loss before training stops.
        always: Keep the last epoch and never stop, because the validation clips say nothing.

    Attributes:
        epoch: Epoch whose weights are kept, from 1; 0 before `minimum`.
        weights: Weights of that epoch.
    """

    def __init__(self, minimum: int, patience: int, *, always: bool = False) -> None:
        self.epoch = 0
        self.weights: dict[str, Tensor] = {}
        self._minimum = minimum
        self._patience = patience
        self._always = always
        self._losses: list[float] = []
        self._lowest = np.inf

    @classmethod
    def of(cls, config: TrainConfig, clips: int, *, always: bool = False) -> EarlyStopping:
        """Return the stopping of a training on a number of clips."""
        minimum = config.min_epochs or (FEW_CLIPS_EPOCHS if clips < FEW_CLIPS else 1)
        return cls(min(minimum, config.epochs), config.patience, always=always)

    def done(self, epoch: int, loss: float, weights: Mapping[str, Tensor]) -> bool:
        """Record an epoch; return whether to stop.

        Args:
            epoch: Number of the epoch, from 1.
            loss: Validation loss after it.
            weights: Weights after it; copied if they are kept.
        """
        self._losses.append(loss)
        if epoch < self._minimum:
            return False
        smoothed = float(np.mean(self._losses[-SMOOTHED_EPOCHS:]))
        if self._always or smoothed < self._lowest:
            self._lowest, self.epoch = smoothed, epoch
            self.weights = {name: tensor.copy() for name, tensor in weights.items()}
            return False
        return epoch - self.epoch >= self._patience
