"""Turn the features of clips into the inputs of a model."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.data.features import Arrays, Mask, Tensor

STATISTICS = {"mean": 1, "features": 2, "delta": 1, "both": 3}
"""Number of statistics of each feature, by the argument of `statistics`."""


class Inputs(NamedTuple):
    """The inputs of a network for N clips.

    Attributes:
        frames: Standardised inputs of each frame, float32 (N, T, W); zeros in masked frames.
        mask: bool (N, T); the valid frames come first.
        statistics: Standardised statistics of each clip, float32 (N, S); S is 0 without a wide
            part.
    """

    frames: Tensor
    mask: Mask
    statistics: Tensor


@dataclass(frozen=True, eq=False)
class Scaling:
    """Standardisation to zero mean and unit deviation.

    Attributes:
        mean: float32 (W,).
        scale: Standard deviation, float32 (W,); 1 for a constant value.
    """

    mean: Tensor
    scale: Tensor


@dataclass(frozen=True, eq=False)
class Preprocessor:
    """Selects the inputs of a model and standardises each to zero mean and unit deviation.

    It is fitted to the training clips, stored with the run and applied before the network. Its
    numbers do not count as parameters of the network.

    Attributes:
        config: Settings of the model.
        frames: Scaling of the inputs of each frame, W values: D, or 2 D for the inputs `both`.
        statistics: Scaling of the S statistics of a clip. They are divided by the square root of S
            as well, so that the mean square of a clip's S values together is 1 for any S.
    """

    config: ModelConfig
    frames: Scaling
    statistics: Scaling

    @classmethod
    def fit(cls, config: ModelConfig, batches: Iterable[Arrays]) -> Preprocessor:
        """Compute mean and deviation over the valid frames of all clips.

        Args:
            config: Settings of the model.
            batches: Features (B, T, D) and masks (B, T) with at least one valid frame in total.
        """
        of_frames, of_clips = _Moments(), _Moments()
        for features, mask in batches:
            if config.shuffle_frames:
                features = shuffle_frames(features, mask)
            rows, known = _inputs(features, mask, config.inputs)
            of_frames.add(rows, known)
            if config.statistics:
                of_clips.add(statistics((features, mask), config.statistics), np.True_)
        by_clip = of_clips.scaling if config.statistics else _NO_SCALING
        root = np.sqrt(np.float32(max(len(by_clip.scale), 1)))
        return cls(config, of_frames.scaling, Scaling(by_clip.mean, by_clip.scale * root))

    def apply(self, features: npt.NDArray[np.float16], mask: Mask) -> Inputs:
        """Return the inputs of the network, with zeros (the mean) for unknown inputs.

        Args:
            features: float16 (N, T, D).
            mask: bool (N, T), the valid frames first.
        """
        if self.config.shuffle_frames:
            features = shuffle_frames(features, mask)
        rows, known = _inputs(features, mask, self.config.inputs)
        rows -= self.frames.mean
        rows /= self.frames.scale
        np.copyto(rows, np.float32(0.0), where=~known)
        of_clips = np.zeros((len(mask), 0), dtype=np.float32)
        if self.config.statistics:
            of_clips = statistics((features, mask), self.config.statistics)
            of_clips -= self.statistics.mean
            of_clips /= self.statistics.scale
        return Inputs(rows, mask, of_clips)


_NO_SCALING = Scaling(np.zeros(0, dtype=np.float32), np.ones(0, dtype=np.float32))


class _Moments:
    """Running mean and deviation.

    float64 is exact enough for sums of squares, which need one batch in memory at a time.
    """

    def __init__(self) -> None:
        self._total, self._squares, self._count = np.zeros(1), np.zeros(1), np.zeros(1)

    def add(self, rows: Tensor, known: npt.NDArray[np.bool_] | np.bool_) -> None:
        """Add rows (…, W); unknown values are 0."""
        exact = rows.astype(np.float64).reshape(-1, rows.shape[-1])
        counted = np.broadcast_to(known, rows.shape).reshape(exact.shape)
        self._total = self._total + exact.sum(axis=0)
        self._squares = self._squares + np.square(exact).sum(axis=0)
        self._count = self._count + counted.sum(axis=0)

    @property
    def scaling(self) -> Scaling:
        """The standardisation of the known values."""
        count = np.maximum(self._count, 1)
        mean = self._total / count
        deviation = np.sqrt(np.maximum(self._squares / count - np.square(mean), 0.0))
        # A variation below the resolution of float16 counts as constant.
        constant = deviation <= 1e-3 * np.maximum(np.abs(mean), 1e-3)
        scale = np.where(constant, 1.0, deviation)
        return Scaling(mean.astype(np.float32), scale.astype(np.float32))


def input_width(inputs: str, width: int) -> int:
    """Return the width W of the inputs for features of width D."""
    return 2 * width if inputs == "both" else width


def valid_rows(features: npt.NDArray[np.float16], mask: Mask) -> npt.NDArray[np.float32]:
    """Return the features as float32, with zeros in masked frames."""
    rows = features.astype(np.float32)
    rows[~mask] = 0.0
    return rows


def deltas(features: npt.NDArray[np.float16], mask: Mask) -> npt.NDArray[np.float32]:
    """Return |Δ| between consecutive valid frames: row t is |f[t] - f[t-1]|.

    Args:
        features: float16 (N, T, D).
        mask: bool (N, T), the valid frames first.

    Returns:
        float32 (N, T, D); zeros in the first row, which has no predecessor, and in masked rows.
    """
    values = valid_rows(features, mask)
    change = np.zeros_like(values)
    np.abs(values[:, 1:] - values[:, :-1], out=change[:, 1:])
    return np.where(_after_first(mask)[..., None], change, np.float32(0.0))


def shuffle_frames(features: npt.NDArray[np.float16], mask: Mask) -> npt.NDArray[np.float16]:
    """Return each clip with its valid frames in a random order that depends only on its content.

    A model could learn one order for all clips; a new order at each call would change its scores.
    """
    shuffled = features.copy()
    for clip, valid in enumerate(mask):
        rows = np.ascontiguousarray(features[clip, valid])
        generator = np.random.default_rng(zlib.crc32(rows.tobytes()))
        shuffled[clip, valid] = generator.permutation(rows)
    return shuffled


def statistics(arrays: Arrays, which: str) -> Tensor:
    """Compute statistics of the valid frames of each clip.

    Args:
        arrays: Features (N, T, D) and mask (N, T), with at least one valid frame per clip.
        which: `features` for mean and standard deviation over the valid frames, `delta` for the
            mean |Δ| between consecutive ones, `both` for all three, or `mean` for the mean alone.

    Returns:
        float32 (N, S); S is D times the number of statistics.
    """
    features, mask = arrays
    values = valid_rows(features, mask)
    count = mask.sum(axis=1, keepdims=True).astype(np.float32)
    mean: Tensor = values.sum(axis=1) / count
    if which == "mean":
        return mean
    change: Tensor = deltas(features, mask).sum(axis=1) / np.maximum(count - 1, 1)
    if which == "delta":
        return change
    centred = np.where(mask[..., None], values - mean[:, None], 0)
    deviation = np.sqrt(np.square(centred).sum(axis=1) / count)
    columns = [mean, deviation] if which == "features" else [mean, deviation, change]
    return np.concatenate(columns, axis=1)


def _inputs(
    features: npt.NDArray[np.float16], mask: Mask, inputs: str
) -> tuple[npt.NDArray[np.float32], Mask]:
    """Return the inputs before standardising, (N, T, W), and which are known, (N, T, 1 or W)."""
    valid, changed = mask[..., None], _after_first(mask)[..., None]
    if inputs == "features":
        return valid_rows(features, mask), valid
    if inputs == "delta":
        return deltas(features, mask), changed
    width = features.shape[2]
    known = np.concatenate([np.repeat(valid, width, 2), np.repeat(changed, width, 2)], axis=2)
    return np.concatenate([valid_rows(features, mask), deltas(features, mask)], axis=2), known


def _after_first(mask: Mask) -> Mask:
    """Return the mask of the valid frames that have a predecessor."""
    after = mask.copy()
    after[:, 0] = False
    return after
