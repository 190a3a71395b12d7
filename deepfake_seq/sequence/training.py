"""Training one sequence model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.backend import load_keras
from deepfake_seq.config import ModelConfig, TrainConfig
from deepfake_seq.sequence.data import SequenceData
from deepfake_seq.sequence.losses import focal_alpha, focal_loss
from deepfake_seq.sequence.metrics import auc
from deepfake_seq.sequence.models import build_model
from deepfake_seq.sequence.standardize import Standardizer

OnEpoch = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network and how it got there.

    Attributes:
        network: The `keras.Model` with the weights of the best epoch.
        standardizer: Of its inputs.
        history: One row an epoch: `epoch`, `loss`, `val_loss`, `val_auc`.
        best_epoch: The row, counted from 1, whose weights were kept.
        alpha: The weight of the class fake in the focal loss.
    """

    network: Any
    standardizer: Standardizer
    history: list[dict[str, float]]
    best_epoch: int
    alpha: float


def train(
    training: SequenceData,
    validation: SequenceData,
    model_config: ModelConfig,
    config: TrainConfig,
    on_epoch: OnEpoch = lambda epoch, row: None,
) -> Trained:
    """Train with Adam until the validation clips stop gaining, and keep the best epoch.

    An epoch is better when its AUC on the validation clips is higher or, at the same AUC, its loss
    on them is lower: small validation sets reach the same AUC many times.

    Args:
        training: Clips of both classes.
        validation: Clips of both classes that share no group with `training`.
        model_config: Which model.
        config: How long, how fast, with which seed.
        on_epoch: Called after each epoch with its number and its row of the history.
    """
    keras = load_keras()

    keras.utils.set_random_seed(config.seed)
    standardizer = Standardizer.fit(training.features, training.mask)
    frames, width = training.features.shape[1:]
    network = build_model(model_config, frames, width)
    alpha = focal_alpha(training.labels)
    loss = focal_loss(alpha, config.gamma)
    network.compile(optimizer=keras.optimizers.Adam(config.learning_rate), loss=loss)

    held_out = standardizer.apply(validation.features, validation.mask)
    targets = validation.labels.astype(np.float32)[:, None]
    generator = np.random.default_rng(config.seed)
    history: list[dict[str, float]] = []
    best: tuple[float, float] = (-np.inf, -np.inf)
    best_weights, best_epoch = network.get_weights(), 0
    for epoch in range(1, config.epochs + 1):
        order = generator.permutation(len(training))
        train_loss = _run_epoch(network, training, order, standardizer, config.batch_size)
        logits = predict_logits(network, held_out, validation.mask)
        row = {
            "epoch": float(epoch),
            "loss": train_loss,
            "val_loss": float(keras.ops.convert_to_numpy(loss(targets, logits[:, None]))),
            "val_auc": float(auc(validation.labels, logits) or 0.0),
        }
        history.append(row)
        on_epoch(epoch, row)
        merit = (row["val_auc"], -row["val_loss"])
        if merit > best:
            best, best_weights, best_epoch = merit, network.get_weights(), epoch
        elif epoch - best_epoch >= config.patience:
            break
    network.set_weights(best_weights)
    return Trained(network, standardizer, history, best_epoch, alpha)


def predict_logits(
    network: Any, standardized: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """One logit a clip.

    Args:
        network: The `keras.Model`.
        standardized: float32 (N, T, D).
        mask: bool (N, T).

    Returns:
        float64 (N,).
    """
    parts = [
        np.asarray(network.predict_on_batch([standardized[start:end], mask[start:end]]))
        for start, end in _spans(len(mask), 256)
    ]
    return np.concatenate([np.zeros((0, 1)), *parts])[:, 0].astype(np.float64)


def _spans(total: int, size: int) -> list[tuple[int, int]]:
    return [(start, min(start + size, total)) for start in range(0, total, size)]


def _run_epoch(
    network: Any,
    data: SequenceData,
    order: npt.NDArray[np.int64],
    standardizer: Standardizer,
    batch_size: int,
) -> float:
    """One step for each batch, the clips in `order`; the mean loss over them."""
    network.reset_metrics()
    loss = 0.0
    for start, end in _spans(len(order), batch_size):
        chosen = order[start:end]
        mask = data.mask[chosen]
        features = standardizer.apply(data.features[chosen], mask)
        targets = data.labels[chosen].astype(np.float32)[:, None]
        loss = float(np.ravel(network.train_on_batch([features, mask], targets))[0])
    return loss  # Keras gives the mean since the metrics were reset
