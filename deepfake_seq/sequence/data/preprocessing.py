"""Turn the features of clips into the inputs of a model."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.data.features import Arrays, Mask


@dataclass(frozen=True, eq=False)
class Preprocessor:
    """Selects the inputs of a model and standardises each to zero mean and unit deviation.

    It is fitted to the training clips, stored with the run and applied before the network. Its
    numbers do not count as parameters of the network.

    Attributes:
        inputs: `features`, `delta` (|Δ| from one valid frame to the next) or `both`.
        shuffle_frames: Whether the valid frames of each clip are shuffled first.
        mean: Mean of each input, float32 (W,); W is D, or 2 D for `both`.
        scale: Standard deviation of each input, float32 (W,); 1 if an input is constant.
    """

    inputs: str
    shuffle_frames: bool
    mean: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]

    @classmethod
    def fit(cls, config: ModelConfig, batches: Iterable[Arrays]) -> Preprocessor:
        """Compute mean and deviation over the valid frames of all clips.

        Args:
            config: Settings of the model.
            batches: Features (B, T, D) and masks (B, T) with at least one valid frame in total.
        """
        total, squares, count = np.zeros(1), np.zeros(1), np.zeros(1)
        for features, mask in batches:
            if config.shuffle_frames:
                features = shuffle_frames(features, mask)
            rows, known = _inputs(features, mask, config.inputs)  # unknown inputs are 0
            # float64 is exact enough for running sums, which need one batch in memory at a time.
            exact = rows.astype(np.float64).reshape(-1, rows.shape[2])
            total = total + exact.sum(axis=0)
            squares = squares + np.square(exact).sum(axis=0)
            count = count + np.broadcast_to(known, rows.shape).sum(axis=(0, 1))
        mean = total / np.maximum(count, 1)
        deviation = np.sqrt(np.maximum(squares / np.maximum(count, 1) - np.square(mean), 0.0))
        # A variation below the resolution of float16 counts as constant.
        constant = deviation <= 1e-3 * np.maximum(np.abs(mean), 1e-3)
        scale = np.where(constant, 1.0, deviation)
        return cls(
            config.inputs,
            config.shuffle_frames,
            mean.astype(np.float32),
            scale.astype(np.float32),
        )

    def apply(self, features: npt.NDArray[np.float16], mask: Mask) -> npt.NDArray[np.float32]:
        """Return the inputs of the network, with zeros (the mean) for unknown inputs.

        Args:
            features: float16 (N, T, D).
            mask: bool (N, T), the valid frames first.

        Returns:
            float32 (N, T, W).
        """
        if self.shuffle_frames:
            features = shuffle_frames(features, mask)
        rows, known = _inputs(features, mask, self.inputs)
        rows -= self.mean
        rows /= self.scale
        np.copyto(rows, np.float32(0.0), where=~known)
        return rows


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
