"""Training one network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import ModelConfig, TrainConfig
from deepfake_seq.errors import TrainingError
from deepfake_seq.sequence.data.batches import BatchLoader
from deepfake_seq.sequence.data.dataset import SequenceData, TrainingRows
from deepfake_seq.sequence.data.preprocessing import Preprocessor
from deepfake_seq.sequence.evaluation.metrics import Labels, Scores, auc_or_nan
from deepfake_seq.sequence.models.networks import Network, SequenceNetwork
from deepfake_seq.sequence.models.sequence_model import run
from deepfake_seq.sequence.training.class_balance import Balance
from deepfake_seq.sequence.training.logistic import fit_logistic
from deepfake_seq.sequence.training.losses import focal_losses
from deepfake_seq.sequence.training.trainer import Trainer, build_trainer, initial_weights

Row = dict[str, float]
OnEpoch = Callable[[int, Row], None]


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A trained network and how it got there.

    Attributes:
        network: With the weights of the best epoch.
        history: One row an epoch: `epoch`, `loss`, `val_loss`, `val_auc` (NaN where the validation
            clips are of one class); empty for a model that is not trained by epochs.
        best_epoch: The row, counted from 1, whose weights were kept; 0 where there is none.
        balance: How much each clip counted.
        on_training: Labels and logits, (M,) each, of what it was trained on, for a trainer that
            has other rows than those it was given; None for all others.
    """

    network: Network
    history: list[Row]
    best_epoch: int
    balance: Balance
    on_training: tuple[Labels, Scores] | None = None


def train(
    training: TrainingRows,
    validation: SequenceData,
    model_config: ModelConfig,
    config: TrainConfig,
    on_epoch: OnEpoch = lambda epoch, row: None,
) -> TrainedNetwork:
    """Train with Adam until the validation clips stop gaining, and keep the best epoch.

    An epoch is better when its AUC on the validation clips is higher or, at the same AUC, its loss
    on them is lower: small validation sets reach the same AUC many times. The AUC does not depend
    on how many clips there are of each class. Validation clips of one class cannot tell: then all
    epochs are run, and the last one is kept.

    Args:
        training: Clips, and views of them, of both classes.
        validation: Clips that share no group with `training`.
        model_config: Which model.
        config: How long, how fast, with which seed.
        on_epoch: Called after each epoch with its number and its row of the history.

    Raises:
        TrainingError: It diverged.
    """
    balance = Balance.of(config.balance, training.labels)
    if model_config.name == "logistic":
        fitted = fit_logistic(training, model_config.inputs, balance, config.seed)
        return TrainedNetwork(fitted, [], 0, balance)
    preprocessor = Preprocessor.fit(model_config, training.batches())
    frames, width = training.features.shape[1], len(preprocessor.mean)
    trainer = build_trainer(
        config.runtime, model_config, (frames, width), config.gamma, config.learning_rate
    )
    start = initial_weights(model_config, width, config.seed)
    trainer.start(start, config.seed)
    shown, judged = BatchLoader.of(preprocessor, training), BatchLoader.of(preprocessor, validation)

    labels = validation.labels
    telling = len(np.unique(labels)) == 2
    targets, weights = labels.astype(np.float32), balance.weights(labels)
    generator = np.random.default_rng(config.seed)
    history: list[Row] = []
    best: tuple[float, float] = (-np.inf, -np.inf)
    best_weights, best_epoch = start, 0
    for epoch in range(1, config.epochs + 1):
        train_loss = _run_epoch(trainer, shown, generator, balance, config)
        now = trainer.weights
        logits = np.concatenate([run(model_config, now, *arrays) for arrays in judged.batches()])
        if not np.isfinite(logits).all():
            raise TrainingError(
                f"training {model_config.title} diverged in epoch {epoch}: its logits are not "
                "finite. Try a lower --learning-rate. "
                f"Received: {config.learning_rate:g}"
            )
        losses = focal_losses(targets, logits, config.gamma) * weights
        row = {
            "epoch": float(epoch),
            "loss": train_loss,
            "val_loss": float(losses.mean()),
            "val_auc": auc_or_nan(labels, logits.astype(np.float64)),
        }
        history.append(row)
        on_epoch(epoch, row)
        merit = (row["val_auc"], -row["val_loss"])
        if not telling or merit > best:
            best, best_weights, best_epoch = merit, now, epoch
        elif epoch - best_epoch >= config.patience:
            break
    network = SequenceNetwork(model_config, preprocessor, best_weights)
    return TrainedNetwork(network, history, best_epoch, balance)


def predict_logits(network: Network, data: SequenceData) -> npt.NDArray[np.float64]:
    """One logit a clip, (N,), reading the clips in batches."""
    parts = [network.logits(arrays) for arrays in data.batches()]
    return np.concatenate([np.zeros(0), *parts])


def _run_epoch(
    trainer: Trainer,
    shown: BatchLoader,
    generator: np.random.Generator,
    balance: Balance,
    config: TrainConfig,
) -> float:
    """One step for each batch of clips in random order; the mean loss over them."""
    size, loss, clips = min(config.batch_size, len(shown)), 0.0, 0
    for arrays, labels in shown.epoch(size, generator, balanced=balance.even_batches):
        loss += trainer.step(*arrays, labels.astype(np.float32), balance.weights(labels), size)
        clips += len(labels)
    return loss / clips
