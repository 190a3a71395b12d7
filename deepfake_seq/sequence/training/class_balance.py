"""Compensate for unequal numbers of real and fake clips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import FAKE, REAL


@dataclass(frozen=True)
class Balance:
    """Weights of the classes in training.

    Attributes:
        methods: Correction methods: `alpha` of the focal loss, class `weights`, balanced `batches`.
        real: Number of real training clips.
        fake: Number of fake training clips.
    """

    methods: tuple[str, ...]
    real: int
    fake: int

    @classmethod
    def of(cls, methods: tuple[str, ...], labels: npt.NDArray[np.int64]) -> Balance:
        """Count the training clips of each class; `labels` is (N,)."""
        return cls(methods, int((labels == REAL).sum()), int((labels == FAKE).sum()))

    @property
    def alpha(self) -> float | None:
        """Weight of fake clips in the focal loss (real clips have 1 - alpha), or None.

        It is the fraction of *real* clips, so that both classes have the same total weight.
        """
        return self.real / (self.real + self.fake) if "alpha" in self.methods else None

    @property
    def class_weights(self) -> tuple[float, float]:
        """Weights of real and fake clips: N / (2 × size of the class), or 1 without `weights`."""
        if "weights" not in self.methods:
            return 1.0, 1.0
        half = (self.real + self.fake) / 2
        return half / self.real, half / self.fake

    def weights(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the weight of each clip in the loss, float32 (B,): alpha times class weight.

        Rows without a label have none.
        """
        real, fake = self.class_weights
        if self.alpha is not None:
            real, fake = real * (1 - self.alpha), fake * self.alpha
        weights = np.select([labels == FAKE, labels == REAL], [fake, real], 0.0)
        return weights.astype(np.float32)

    @property
    def balanced_batches(self) -> bool:
        """Whether clips of the rarer class are repeated so that each batch is balanced."""
        return "batches" in self.methods

    @property
    def effective(self) -> dict[str, float]:
        """Total weight of a `real` and of a `fake` clip in an epoch; 1 on average over clips."""
        real, fake = (float(weight) for weight in self.weights(np.array([REAL, FAKE])))
        if self.balanced_batches:
            real, fake = real / self.real, fake / self.fake
        mean = (real * self.real + fake * self.fake) / (self.real + self.fake)
        return {"real": real / mean, "fake": fake / mean}

    def __str__(self) -> str:
        weights, real_fraction = self.effective, self.real / (self.real + self.fake)
        return (
            f"{' and '.join(self.methods) or 'none'}: a real clip counts {weights['real']:.2f}, "
            f"a fake one {weights['fake']:.2f}; all real clips together "
            f"{weights['real'] * real_fraction:.0%}, all fake ones "
            f"{weights['fake'] * (1 - real_fraction):.0%}"
        )

    @property
    def warnings(self) -> list[str]:
        """Warning if several methods are combined."""
        if len(self.methods) < 2:
            return []
        rarer = "fake" if self.fake < self.real else "real"
        return [
            f"Class imbalance is corrected {len(self.methods)} times "
            f"({' and '.join(self.methods)}): the rarer class, {rarer}, now outweighs the other. "
            "Choose one method."
        ]
