"""Train a CNN with its head in two phases, with a checkpoint after every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from deepfake_seq.config import FinetuneConfig
from deepfake_seq.errors import TrainingError
from deepfake_seq.finetune.checkpoint import Checkpoints, EpochRow, FinetuneProgress
from deepfake_seq.finetune.network import FinetunableCnn
from deepfake_seq.finetune.stream import FrameStream
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.evaluation.metrics import auc_or_nan
from deepfake_seq.sequence.training.class_balance import Balance
from deepfake_seq.sequence.training.losses import focal_losses
from deepfake_seq.sequence.training.train import TrainedNetwork, predict_logits

OnBatch = Callable[[str], None]


class Phase(NamedTuple):
    """A phase of the training.

    Attributes:
        number: Number of the phase, from 1.
        epochs: Number of epochs.
        unfrozen: Number of trained layers of the CNN, counted from the last one.
        learning_rate: Learning rate of Adam.
    """

    number: int
    epochs: int
    unfrozen: int
    learning_rate: float


def phases_of(config: FinetuneConfig, cnn: FinetunableCnn) -> list[Phase]:
    """Return the two phases, without those that have no epochs."""
    unfrozen = cnn.row.unfreeze if config.unfreeze < 0 else config.unfreeze
    both = [
        Phase(1, config.head_epochs, 0, config.learning_rate),
        Phase(2, config.epochs, unfrozen or cnn.layers, config.fine_learning_rate),
    ]
    return [phase for phase in both if phase.epochs]


def train(
    cnn: FinetunableCnn,
    stream: FrameStream,
    validation: SequenceData,
    config: FinetuneConfig,
    checkpoints: Checkpoints,
    on_batch: OnBatch = lambda note: None,
) -> TrainedNetwork:
    """Train in both phases, or resume from a checkpoint, and keep the weights of the best epoch.

    The weight of a class is N / 2 over its number of training frames. (The function that the paper
    prints for this overwrites its counts in every batch, so that its weights come from the last
    batch alone.)

    An epoch is better if the AUC of the validation clips is higher or, with equal AUC, if their
    loss is lower. If the validation clips have only one class, the last epoch is kept.

    Args:
        cnn: CNN to train; has the weights of the best epoch at the end.
        stream: Training frames.
        validation: Validation clips, whose features `cnn` computes with its current weights.
        config: Settings of the training.
        checkpoints: Checkpoints to resume from, and to write after every epoch.
        on_batch: Called after each batch with a short note.

    Raises:
        TrainingError: Training diverged.
        UsageError: The checkpoint belongs to a training with other settings.
        RunError: The checkpoint is damaged or cannot be written.
    """
    progress = FinetuneProgress()
    checkpoint = checkpoints.load()
    start = cnn.weights
    if checkpoint:
        progress, arrays = checkpoint
        checkpoints.require_same_shapes(start, arrays.get("weights", []))
        cnn.weights = arrays["weights"]
    phases = phases_of(config, cnn)
    if len(progress.history) >= sum(phase.epochs for phase in phases):
        cnn.begin_phase(phases[-1].unfrozen, phases[-1].learning_rate)  # nothing is left to train
    for phase, epochs in _remaining(phases, len(progress.history)):
        cnn.begin_phase(phase.unfrozen, phase.learning_rate)
        if checkpoint and len(epochs) < phase.epochs:
            checkpoints.require_same_shapes(cnn.optimizer_state, arrays.get("optimizer", []))
            cnn.optimizer_state = arrays["optimizer"]
        for epoch in epochs:
            loss = _run_epoch(cnn, stream, config, epoch, on_batch)
            row = {"phase": float(phase.number), "epoch": float(epoch), "loss": loss}
            row |= _validate(cnn, validation, stream.balance)
            _require_finite(row, phase)
            progress.history.append(row)
            value = _monitor_value(row, validation)
            if value > progress.monitor_value or not progress.best_epoch:
                progress.monitor_value, progress.best_epoch = value, epoch
            checkpoints.save(progress, cnn.weights, cnn.optimizer_state)
    best = checkpoints.best(progress)
    checkpoints.require_same_shapes(start, best)
    cnn.weights = best
    return TrainedNetwork(cnn.network, progress.history, progress.best_epoch, stream.balance)


def _remaining(phases: list[Phase], done: int) -> Iterator[tuple[Phase, range]]:
    """Yield each unfinished phase and its remaining epochs, numbered from 1 across phases."""
    first = 1
    for phase in phases:
        end = first + phase.epochs
        if done + 1 < end:
            yield phase, range(max(first, done + 1), end)
        first = end


def _run_epoch(
    cnn: FinetunableCnn, stream: FrameStream, config: FinetuneConfig, epoch: int, on_batch: OnBatch
) -> float:
    """Train on each batch once, and return the mean loss per frame."""
    cnn.seed_dropout(int(np.random.SeedSequence([config.seed, epoch]).generate_state(1)[0]))
    total, frames = 0.0, 0
    for batch in stream.epoch(epoch):
        total += cnn.step(*batch)
        frames += int(np.count_nonzero(batch.weights))
        on_batch(f"epoch {epoch}, loss {total / frames:.4f}")
    return total / frames


def _validate(cnn: FinetunableCnn, validation: SequenceData, balance: Balance) -> EpochRow:
    """Compute loss and AUC of the validation clips; a clip's logit is the mean of its frames'."""
    labels, logits = validation.labels, predict_logits(cnn.network, validation)
    losses = focal_losses(labels.astype(np.float32), logits.astype(np.float32), gamma=0.0)
    return {
        "val_loss": float((losses * balance.weights(labels)).mean()),
        "val_auc": auc_or_nan(labels, logits) if np.isfinite(logits).all() else np.nan,
    }


def _monitor_value(row: EpochRow, validation: SequenceData) -> tuple[float, ...]:
    """Return the values that epochs are compared by; higher is better."""
    if len(set(validation.labels.tolist())) < 2:
        return (row["epoch"],)
    return row["val_auc"], -row["val_loss"]


def _require_finite(row: EpochRow, phase: Phase) -> None:
    if not np.isfinite(row["loss"] + row["val_loss"]):
        option = "--learning-rate" if phase.number == 1 else "--fine-learning-rate"
        raise TrainingError(
            f"finetuning diverged in epoch {row['epoch']:.0f}: the loss is not finite. Try a "
            f"lower {option}. Received: {phase.learning_rate:g}"
        )
