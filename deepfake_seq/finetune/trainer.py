"""Training a CNN with its head, in two phases, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from deepfake_seq.config import FinetuneConfig
from deepfake_seq.errors import TrainingError
from deepfake_seq.finetune.checkpoint import Checkpoints, Progress, Row
from deepfake_seq.finetune.network import FinetunableCnn
from deepfake_seq.finetune.stream import FrameStream
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.evaluation.metrics import auc_or_nan
from deepfake_seq.sequence.training.class_balance import Balance
from deepfake_seq.sequence.training.losses import focal_losses
from deepfake_seq.sequence.training.train import TrainedNetwork, predict_logits

OnBatch = Callable[[str], None]


class Phase(NamedTuple):
    """A part of the training.

    Attributes:
        number: From 1.
        epochs: How many it has.
        unfrozen: How many layers of the CNN are trained, from the last one.
        learning_rate: Adam's.
    """

    number: int
    epochs: int
    unfrozen: int
    learning_rate: float


def phases_of(config: FinetuneConfig, cnn: FinetunableCnn) -> list[Phase]:
    """The two phases; one without epochs is left out."""
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
    """Train in both phases, or go on where a training was ended, and keep the best epoch.

    Classes are weighed by all training frames: N / 2 over the number of frames of the class. (The
    function that the paper prints for it goes over the batches and overwrites its counts in each,
    so that its weights are those of the last batch alone.)

    An epoch is better when the AUC of the validation clips is higher or, at the same AUC, the loss
    on them lower; where these are of one class, nothing can be told and the last epoch is kept.

    Args:
        cnn: What is trained; has the weights of the best epoch at the end.
        stream: The training frames.
        validation: Clips, whose features are those of `cnn` at that moment.
        config: How.
        checkpoints: What is kept after every epoch.
        on_batch: Called after each batch with a short note.

    Raises:
        TrainingError: It diverged.
        UsageError: The checkpoint is of another training.
        RunError: The checkpoint is damaged, or cannot be written.
    """
    progress = Progress()
    found = checkpoints.load()
    start = cnn.weights
    if found:
        progress, arrays = found
        checkpoints.require_like(start, arrays.get("weights", []))
        cnn.weights = arrays["weights"]
    phases = phases_of(config, cnn)
    if len(progress.history) >= sum(phase.epochs for phase in phases):
        cnn.begin_phase(phases[-1].unfrozen, phases[-1].learning_rate)  # as it ended
    for phase, epochs in _to_do(phases, len(progress.history)):
        cnn.begin_phase(phase.unfrozen, phase.learning_rate)
        if found and len(epochs) < phase.epochs:
            checkpoints.require_like(cnn.optimizer_state, arrays.get("optimizer", []))
            cnn.optimizer_state = arrays["optimizer"]
        for epoch in epochs:
            loss = _run_epoch(cnn, stream, config, epoch, on_batch)
            row = {"phase": float(phase.number), "epoch": float(epoch), "loss": loss}
            row |= _judged(cnn, validation, stream.balance)
            _require_finite(row, config, phase)
            progress.history.append(row)
            merit = _merit(row, validation)
            if merit > progress.merit or not progress.best_epoch:
                progress.merit, progress.best_epoch = merit, epoch
            checkpoints.save(progress, cnn.weights, cnn.optimizer_state)
    best = checkpoints.best(progress)
    checkpoints.require_like(start, best)
    cnn.weights = best
    return TrainedNetwork(cnn.network, progress.history, progress.best_epoch, stream.balance)


def _to_do(phases: list[Phase], done: int) -> Iterator[tuple[Phase, range]]:
    """The phases with epochs that are not done, and these, counted from 1 through all phases."""
    first = 1
    for phase in phases:
        behind = first + phase.epochs
        if done + 1 < behind:
            yield phase, range(max(first, done + 1), behind)
        first = behind


def _run_epoch(
    cnn: FinetunableCnn, stream: FrameStream, config: FinetuneConfig, epoch: int, on_batch: OnBatch
) -> float:
    """One step for each batch; the mean loss of the frames."""
    cnn.seed_dropout(int(np.random.SeedSequence([config.seed, epoch]).generate_state(1)[0]))
    total, frames = 0.0, 0
    for batch in stream.epoch(epoch):
        total += cnn.step(*batch)
        frames += int(np.count_nonzero(batch.weights))
        on_batch(f"epoch {epoch}, loss {total / frames:.4f}")
    return total / frames


def _judged(cnn: FinetunableCnn, validation: SequenceData, balance: Balance) -> Row:
    """Loss and AUC of the validation clips, whose score is the mean over their frames' logits."""
    labels, logits = validation.labels, predict_logits(cnn.network, validation)
    losses = focal_losses(labels.astype(np.float32), logits.astype(np.float32), gamma=0.0)
    return {
        "val_loss": float((losses * balance.weights(labels)).mean()),
        "val_auc": auc_or_nan(labels, logits) if np.isfinite(logits).all() else np.nan,
    }


def _merit(row: Row, validation: SequenceData) -> tuple[float, ...]:
    if len(set(validation.labels.tolist())) < 2:
        return (row["epoch"],)
    return row["val_auc"], -row["val_loss"]


def _require_finite(row: Row, config: FinetuneConfig, phase: Phase) -> None:
    if not np.isfinite(row["loss"] + row["val_loss"]):
        option = "--learning-rate" if phase.number == 1 else "--fine-learning-rate"
        raise TrainingError(
            f"fine-tuning diverged in epoch {row['epoch']:.0f}: its loss is not finite. Try a "
            f"lower {option}. Received: {phase.learning_rate:g}"
        )
