"""Zero mean and unit deviation, by the training clips' statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Standardizer:
    """Kept with the run and applied before the network, so the network's parameters stay its own.

    Attributes:
        mean: float32 (D,).
        scale: float32 (D,); the deviation, 1 where a feature never changes.
    """

    mean: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]

    @classmethod
    def fit(cls, features: npt.NDArray[np.float16], mask: npt.NDArray[np.bool_]) -> Standardizer:
        """Measure the valid frames.

        Args:
            features: (N, T, D).
            mask: bool (N, T), at least one True.
        """
        width = features.shape[2]
        total, squares, count = np.zeros(width), np.zeros(width), 0
        # Clip by clip in float64: exact enough, and no second copy of a large training set.
        for clip, valid in zip(features, mask, strict=True):
            rows = clip[valid].astype(np.float64)
            total += rows.sum(axis=0)
            squares += np.square(rows).sum(axis=0)
            count += len(rows)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 0.0))
        # What varies by less than float16 can hold is constant.
        constant = deviation <= 1e-3 * np.maximum(np.abs(mean), 1e-3)
        scale = np.where(constant, 1.0, deviation)
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    def apply(
        self, features: npt.NDArray[np.float16], mask: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float32]:
        """Standardise the valid frames; the others become zeros.

        Args:
            features: (N, T, D).
            mask: bool (N, T).

        Returns:
            float32 (N, T, D).
        """
        standard = (features.astype(np.float32) - self.mean) / self.scale
        return np.where(mask[..., None], standard, np.float32(0.0))
