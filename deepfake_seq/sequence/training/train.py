"""Train one network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import ModelConfig, TrainConfig
from deepfake_seq.datasets import FAKE, UNKNOWN
from deepfake_seq.errors import DatasetError, TrainingError
from deepfake_seq.sequence.data.batches import BatchLoader
from deepfake_seq.sequence.data.dataset import SequenceData, TrainingRows
from deepfake_seq.sequence.data.features import Tensor
from deepfake_seq.sequence.data.preprocessing import Preprocessor
from deepfake_seq.sequence.evaluation.metrics import Labels, Scores, auc_or_nan
from deepfake_seq.sequence.models.networks import Network, SequenceNetwork
from deepfake_seq.sequence.models.sequence_model import run, shapes
from deepfake_seq.sequence.training.autoencoder import fit_autoencoder
from deepfake_seq.sequence.training.class_balance import Balance
from deepfake_seq.sequence.training.input_noise import InputNoise, NoiseSettings
from deepfake_seq.sequence.training.logistic import fit_logistic
from deepfake_seq.sequence.training.losses import focal_losses
from deepfake_seq.sequence.training.objective import MASK_WEIGHT, Objective, TrainingBatch
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
        DatasetError: A second output is requested, and no fake has known shares.
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
    masks = config.auxiliary == "masks"
    objective = Objective(
        config.gamma, config.learning_rate, config.wide_l2, MASK_WEIGHT if masks else 0.0
    )
    trainer = build_trainer(config.runtime, model_config, shape, objective)
    start = initial_weights(model_config, shape[1], config.seed, masks=masks)
    trainer.start(start, config.seed)
    generator = np.random.default_rng(config.seed)
    noise = NoiseSettings.of(config, training.features.blocks)
    epochs = _Epochs(
        trainer,
        BatchLoader.of(preprocessor, training),
        balance,
        InputNoise(noise, (shape[0], len(preprocessor.frames.mean)), generator),
        config.batch_size,
        _known_shares(training) if masks else None,
    )
    validation_loader = BatchLoader.of(preprocessor, validation)

    labels = validation.labels
    has_both_classes = len(np.unique(labels)) == 2
    targets, weights = labels.astype(np.float32), balance.weights(labels)
    history = []
    stopping = EarlyStopping.of(config, sum(training.counts.values()), always=not has_both_classes)
    for epoch in range(1, config.epochs + 1):
        train_loss = epochs.run(generator)
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
    weights_of_network = {name: stopping.weights[name] for name in shapes(model_config, shape[1])}
    network = SequenceNetwork(preprocessor, weights_of_network)
    return TrainedNetwork(network, history, stopping.epoch, balance)


def predict_logits(network: Network, data: SequenceData) -> npt.NDArray[np.float64]:
    """Return one logit per clip, (N,), reading the clips in batches."""
    logits = [network.logits(arrays) for arrays in data.batches()]
    return np.concatenate([np.zeros(0), *logits])


def _known_shares(training: TrainingRows) -> Tensor:
    """Return the replaced share of each face region in each row, (N, 6); NaN if unknown.

    Raises:
        DatasetError: There is no fake with known shares.
    """
    shares = training.mask_shares
    if not (shares > 0).any():
        raise DatasetError(
            "--auxiliary masks needs fakes whose replaced regions are known: self-blended fakes "
            "(`deepseq extract --self-blend`), or the mask videos of FaceForensics++. Extract "
            "them, or leave the option out. Received: none among "
            f"{len(training)} training clips and views"
        )
    return shares


@dataclass(frozen=True, eq=False)
class _Epochs:
    """Runs the epochs of one training.

    Attributes:
        trainer: The trainer.
        loader: The training rows. Rows without a label only train the second output.
        balance: Weights of the classes.
        noise: Random changes of the inputs.
        batch_size: Number of rows per batch.
        shares: Replaced share of each face region in each row, (N, 6); None without a second
            output.
    """

    trainer: Trainer
    loader: BatchLoader
    balance: Balance
    noise: InputNoise
    batch_size: int
    shares: Tensor | None

    def run(self, generator: np.random.Generator) -> float:
        """Train on every row once, in random order; return the mean loss of the logits."""
        size, loss, clips = min(self.batch_size, len(self.loader)), 0.0, 0
        labels = self.loader.data.labels
        balanced = self.balance.balanced_batches
        for inputs, positions in self.loader.epoch(size, generator, balanced=balanced):
            chosen = labels[positions]
            batch = TrainingBatch(
                self.noise.apply(inputs),
                (chosen == FAKE).astype(np.float32),
                self.balance.weights(chosen),
                size,
                None if self.shares is None else self.shares[positions],
            )
            loss += self.trainer.step(batch)
            clips += int((chosen != UNKNOWN).sum())
        return loss / clips
