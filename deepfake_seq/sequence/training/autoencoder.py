"""Train an autoencoder on real clips alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from deepfake_seq.config import TrainConfig
from deepfake_seq.datasets import REAL
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.data.features import Mask, Tensor
from deepfake_seq.sequence.data.preprocessing import valid_rows
from deepfake_seq.sequence.evaluation.metrics import auc_or_nan
from deepfake_seq.sequence.models.autoencoder import (
    COMPONENTS,
    HIDDEN_OF,
    AutoencoderNetwork,
    FillIn,
    project,
    residuals,
    shapes,
)
from deepfake_seq.sequence.training.adam import Adam
from deepfake_seq.sequence.training.stopping import EarlyStopping
from deepfake_seq.sequence.training.trainer import draw_weights

_MAX_FRAMES = 2_048
"""Maximum number of frames that the principal components are computed from."""

_NETWORK = "network/"

Row = dict[str, float]


def fit_autoencoder(
    training: SequenceData,
    validation: SequenceData,
    config: TrainConfig,
    on_epoch: Callable[[int, Row], None],
) -> tuple[AutoencoderNetwork, list[Row], int]:
    """Train on the real clips to fill in hidden frames; fakes are never seen.

    Args:
        training: Training clips, of which the real ones are used.
        validation: Clips for early stopping and for the scale of the score; its real ones are used.
            Its fakes only enter the AUC in the history.
        config: Settings of the training.
        on_epoch: Called after each epoch with its number and its row of the history.

    Returns:
        The network, its history and the epoch that was kept.

    Raises:
        DatasetError: There are no real training or validation clips.
    """
    real, held_out = (
        data.take(np.flatnonzero(data.labels == REAL)) for data in (training, validation)
    )
    if not len(real) or not len(held_out):
        raise DatasetError(
            "an autoencoder needs real clips for training and for validation. "
            f"Received: {len(real)} and {len(held_out)}"
        )
    generator = np.random.default_rng(config.seed)
    mean, components = _principal_components(real, generator)
    frames, mask = _projected(real, mean, components)
    held_frames, held_mask = _projected(validation, mean, components)
    all_shapes = shapes(len(mean))
    weights = draw_weights(
        {
            name.removeprefix(_NETWORK): shape
            for name, shape in all_shapes.items()
            if name.startswith(_NETWORK)
        },
        config.seed,
    )
    optimizer, stopping = Adam(weights, config.learning_rate), EarlyStopping.of(config, len(real))
    is_real = validation.labels == REAL
    history: list[Row] = []
    for epoch in range(1, config.epochs + 1):
        loss = _run_epoch(weights, optimizer, (frames, mask), config.batch_size, generator)
        errors = residuals(weights, held_frames, held_mask)
        history.append(
            {
                "epoch": float(epoch),
                "loss": loss,
                "val_loss": float(errors[is_real].mean()),
                "val_auc": auc_or_nan(validation.labels, errors),
            }
        )
        on_epoch(epoch, history[-1])
        if stopping.done(epoch, history[-1]["val_loss"], weights):
            break
    errors = residuals(stopping.weights, held_frames, held_mask)[is_real]
    spread = float(errors.std())
    tensors = {
        "preprocessor/mean": mean,
        "preprocessor/components": components,
        "preprocessor/residual_mean": np.array([errors.mean()], dtype=np.float32),
        "preprocessor/residual_scale": np.array([spread if spread > 0 else 1.0], dtype=np.float32),
        **{f"{_NETWORK}{name}": tensor for name, tensor in stopping.weights.items()},
    }
    return AutoencoderNetwork(tensors), history, stopping.epoch


def _principal_components(
    data: SequenceData, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return the mean (D,) and a matrix (D, K) from centred features to principal components.

    The features are standardised first. The components have a mean square of 1 together; those that
    the frames do not span are 0.
    """
    per_clip = -(-_MAX_FRAMES // len(data))
    rows = []
    for features, mask in data.batches():
        for clip, valid in zip(valid_rows(features, mask), mask, strict=True):
            rows.append(generator.permutation(clip[valid])[:per_clip])
    sample = generator.permutation(np.concatenate(rows))[:_MAX_FRAMES].astype(np.float64)
    mean, deviation = sample.mean(axis=0), sample.std(axis=0)
    scale = np.where(deviation > 1e-4, deviation, 1.0)
    _, values, directions = np.linalg.svd((sample - mean) / scale, full_matrices=False)
    count = min(COMPONENTS, int((values > 1e-6 * max(values[0], 1e-6)).sum()))
    components = np.zeros((len(mean), COMPONENTS))
    variance = np.square(values[:count]).mean() / len(sample)
    components[:, :count] = directions[:count].T / scale[:, None] / np.sqrt(max(variance, 1e-12))
    return mean.astype(np.float32), components.astype(np.float32)


def _projected(data: SequenceData, mean: Tensor, components: Tensor) -> tuple[Tensor, Mask]:
    frames, masks = [], []
    for arrays in data.batches():
        frames.append(project(arrays, mean, components))
        masks.append(arrays[1])
    return np.concatenate(frames), np.concatenate(masks)


def _run_epoch(
    weights: dict[str, Tensor],
    optimizer: Adam,
    clips: tuple[Tensor, Mask],
    batch_size: int,
    generator: np.random.Generator,
) -> float:
    """Train on every clip once with other hidden frames; return the mean squared error."""
    model, total, count = FillIn(), 0.0, 0
    order = generator.permutation(len(clips[1]))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        frames, mask = clips[0][rows], clips[1][rows]
        hidden = _hide(mask, generator)
        difference = model.forward(weights, frames, mask, hidden) - frames
        difference *= hidden[..., None]
        values = np.float32(hidden.sum() * frames.shape[2])
        optimizer.step(model.backward(weights, 2 * difference / values))
        total += float(np.square(difference).sum())
        count += int(values)
    return total / max(count, 1)


def _hide(mask: Mask, generator: np.random.Generator) -> Mask:
    """Choose a quarter of each clip's valid frames at random, at least one."""
    keys = np.where(mask, generator.random(mask.shape), 2.0)
    ranks = keys.argsort(axis=1).argsort(axis=1)
    counts = np.maximum(mask.sum(axis=1, keepdims=True) // HIDDEN_OF, 1)
    return np.asarray(mask & (ranks < counts))
