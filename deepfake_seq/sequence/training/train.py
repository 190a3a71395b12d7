"""Train one network."""

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
from deepfake_seq.sequence.training.autoencoder import fit_autoencoder
from deepfake_seq.sequence.training.class_balance import Balance
from deepfake_seq.sequence.training.input_noise import InputNoise
from deepfake_seq.sequence.training.logistic import fit_logistic
from deepfake_seq.sequence.training.losses import focal_losses
from deepfake_seq.sequence.training.objective import Objective
from deepfake_seq.sequence.training.stopping import EarlyStopping
from deepfake_seq.sequence.training.trainer import Trainer, build_trainer, initial_weights

Row = dict[str, float]
OnEpoch = Callable[[int, Row], None]


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A trained network and its training history.

    Attributes:
        network: Network with the weights of the best epoch.
        history: One row per epoch: `epoch`, `loss`, `val_loss`, `val_auc` (NaN if the validation
            clips have a single class); empty for a model without epochs.
        best_epoch: Epoch, counted from 1, whose weights were kept; 0 for a model without epochs.
        balance: Weights of the classes in training.
        on_training: Labels and logits, (M,) each, of the rows that it was trained on, if these are
            not the rows that were passed in; otherwise None.
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
    """Train with Adam and early stopping, and keep the weights of the best epoch.

    `EarlyStopping` says which epoch is the best. With validation clips of a single class, all
    epochs are run and the last one is kept.

    Args:
        training: Training rows of both classes.
        validation: Clips that share no group with `training`.
        model_config: Settings of the model.
        config: Settings of the training.
        on_epoch: Called after each epoch with its number and its row of the history.

    Raises:
        TrainingError: Training diverged.
    """
    balance = Balance.of(config.balance, training.labels)
    if model_config.name == "logistic":
        logistic = fit_logistic(training, model_config.inputs, balance, config.seed)
        return TrainedNetwork(logistic, [], 0, balance)
    if model_config.name == "autoencoder":
        autoencoder, history, best_epoch = fit_autoencoder(training, validation, config, on_epoch)
        return TrainedNetwork(autoencoder, history, best_epoch, balance)
    preprocessor = Preprocessor.fit(model_config, training.batches())
    shape = training.features.shape[1:]
    objective = Objective(config.gamma, config.learning_rate, config.wide_l2)
    trainer = build_trainer(config.runtime, model_config, shape, objective)
    start = initial_weights(model_config, shape[1], config.seed)
    trainer.start(start, config.seed)
    training_loader = BatchLoader.of(preprocessor, training)
    validation_loader = BatchLoader.of(preprocessor, validation)

    labels = validation.labels
    has_both_classes = len(np.unique(labels)) == 2
    targets, weights = labels.astype(np.float32), balance.weights(labels)
    generator = np.random.default_rng(config.seed)
    noise = InputNoise.of(config, training.features.blocks)
    history = []
    stopping = EarlyStopping.of(config, len(training), always=not has_both_classes)
    for epoch in range(1, config.epochs + 1):
        train_loss = _run_epoch(
            trainer, training_loader, generator, balance, noise, config.batch_size
        )
        epoch_weights = trainer.weights
        logits = np.concatenate(
            [run(model_config, epoch_weights, batch) for batch in validation_loader.batches()]
        )
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
        if stopping.done(epoch, row["val_loss"], epoch_weights):
            break
    network = SequenceNetwork(preprocessor, stopping.weights)
    return TrainedNetwork(network, history, stopping.epoch, balance)


def predict_logits(network: Network, data: SequenceData) -> npt.NDArray[np.float64]:
    """Return one logit per clip, (N,), reading the clips in batches."""
    logits = [network.logits(arrays) for arrays in data.batches()]
    return np.concatenate([np.zeros(0), *logits])


def _run_epoch(
    trainer: Trainer,
    loader: BatchLoader,
    generator: np.random.Generator,
    balance: Balance,
    noise: InputNoise,
    batch_size: int,
) -> float:
    """Train on every clip once, in random order; return the mean loss."""
    size, loss, clips = min(batch_size, len(loader)), 0.0, 0
    for inputs, labels in loader.epoch(size, generator, balanced=balance.balanced_batches):
        changed, targets = noise.apply(inputs, generator), labels.astype(np.float32)
        loss += trainer.step(changed, targets, balance.weights(labels), size)
        clips += len(labels)
    return loss / clips
