"""Training one network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import ModelConfig, TrainConfig
from deepfake_seq.errors import TrainingError
from deepfake_seq.sequence.balance import Balance
from deepfake_seq.sequence.data import SequenceData
from deepfake_seq.sequence.logistic import fit_logistic
from deepfake_seq.sequence.metrics import auc
from deepfake_seq.sequence.networks import Network, SequenceNetwork
from deepfake_seq.sequence.preprocessing import Preprocessor
from deepfake_seq.sequence.workbench import Workbench

Row = dict[str, float]
OnEpoch = Callable[[int, Row], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network and how it got there.

    Attributes:
        network: With the weights of the best epoch.
        history: One row an epoch: `epoch`, `loss`, `val_loss`, `val_auc`; empty for a model that is
            not trained by epochs.
        best_epoch: The row, counted from 1, whose weights were kept; 0 where there is none.
        balance: How much each clip counted.
    """

    network: Network
    history: list[Row]
    best_epoch: int
    balance: Balance


def train(
    training: SequenceData,
    validation: SequenceData,
    model_config: ModelConfig,
    config: TrainConfig,
    on_epoch: OnEpoch = lambda epoch, row: None,
) -> Trained:
    """Train with Adam until the validation clips stop gaining, and keep the best epoch.

    An epoch is better when its AUC on the validation clips is higher or, at the same AUC, its loss
    on them is lower: small validation sets reach the same AUC many times. The AUC does not depend
    on how many clips there are of each class.

    Args:
        training: Clips of both classes.
        validation: Clips of both classes that share no group with `training`.
        model_config: Which model.
        config: How long, how fast, with which seed.
        on_epoch: Called after each epoch with its number and its row of the history.

    Raises:
        TrainingError: It diverged.
    """
    balance = Balance.of(config.balance, training.labels)
    if model_config.name == "logistic":
        fitted = fit_logistic(training, model_config.inputs, balance, config.seed)
        return Trained(fitted, [], 0, balance)
    preprocessor = Preprocessor.fit(model_config, training.batches())
    frames, width = training.features.shape[1], len(preprocessor.mean)
    bench = Workbench.of(model_config, frames, width, config.gamma, config.learning_rate)
    bench.start(config.seed)

    labels = validation.labels
    targets, weights = _targets(labels), balance.weights(labels)
    generator = np.random.default_rng(config.seed)
    history: list[Row] = []
    best: tuple[float, float] = (-np.inf, -np.inf)
    network, best_epoch = SequenceNetwork(model_config, preprocessor, bench.weights), 0
    for epoch in range(1, config.epochs + 1):
        train_loss = _run_epoch(bench, preprocessor, training, generator, balance, config)
        candidate = SequenceNetwork(model_config, preprocessor, bench.weights)
        logits = predict_logits(candidate, validation)
        if not np.isfinite(logits).all():
            raise TrainingError(
                f"training {model_config.title} diverged in epoch {epoch}: its logits are not "
                "finite. Try a lower --learning-rate. "
                f"Received: {config.learning_rate:g}"
            )
        row = {
            "epoch": float(epoch),
            "loss": train_loss,
            "val_loss": bench.loss_of(targets, logits[:, None], weights),
            "val_auc": float(auc(labels, logits) or 0.0),
        }
        history.append(row)
        on_epoch(epoch, row)
        merit = (row["val_auc"], -row["val_loss"])
        if merit > best:
            best, network, best_epoch = merit, candidate, epoch
        elif epoch - best_epoch >= config.patience:
            break
    return Trained(network, history, best_epoch, balance)


def predict_logits(network: Network, data: SequenceData) -> npt.NDArray[np.float64]:
    """One logit a clip, (N,), reading the clips in batches."""
    parts = [network.logits(arrays) for arrays in data.batches()]
    return np.concatenate([np.zeros(0), *parts])


def _run_epoch(
    bench: Workbench,
    preprocessor: Preprocessor,
    data: SequenceData,
    generator: np.random.Generator,
    balance: Balance,
    config: TrainConfig,
) -> float:
    """One step for each batch of clips in random order; the mean loss over them."""
    size, loss, clips = min(config.batch_size, len(data)), 0.0, 0
    for (features, mask), labels in data.epoch(size, generator, balanced=balance.even_batches):
        shown = preprocessor.apply(features, mask)
        loss += bench.step(shown, mask, _targets(labels), balance.weights(labels), size)
        clips += len(labels)
    return loss / clips


def _targets(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    return labels.astype(np.float32)[:, None]
