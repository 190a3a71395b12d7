"""What makes up for the classes' unequal numbers, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import FAKE, REAL


@dataclass(frozen=True)
class Balance:
    """How much each clip counts in training.

    Attributes:
        ways: Those in force: `alpha` of the focal loss, `weights` of the classes, `batches` with as
            many clips of each class.
        real: The number of real training clips.
        fake: The number of fake training clips.
    """

    ways: tuple[str, ...]
    real: int
    fake: int

    @classmethod
    def of(cls, ways: tuple[str, ...], labels: npt.NDArray[np.int64]) -> Balance:
        """For training clips with these labels, (N,), of both classes."""
        return cls(ways, int((labels == REAL).sum()), int((labels == FAKE).sum()))

    @property
    def alpha(self) -> float | None:
        """The focal loss's weight of the class fake (real clips get 1 - alpha), or None.

        It is the share of *real* clips: the rarer a class, the heavier each of its clips, and both
        classes come to the same sum.
        """
        return self.real / (self.real + self.fake) if "alpha" in self.ways else None

    @property
    def class_weights(self) -> tuple[float, float]:
        """Of a real and of a fake clip: N / 2 over the number of clips of the class, or 1 and 1."""
        if "weights" not in self.ways:
            return 1.0, 1.0
        half = (self.real + self.fake) / 2
        return half / self.real, half / self.fake

    def weights(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The weight of each clip in the loss, float32 (B,): alpha and the class's weight."""
        real, fake = self.class_weights
        if self.alpha is not None:
            real, fake = real * (1 - self.alpha), fake * self.alpha
        return np.where(labels == FAKE, fake, real).astype(np.float32)

    @property
    def even_batches(self) -> bool:
        """Whether clips of the rarer class are repeated until both are as many."""
        return "batches" in self.ways

    @property
    def effective(self) -> dict[str, float]:
        """How much a clip of each class counts in an epoch, all in all; 1 on average over clips."""
        real, fake = (float(weight) for weight in self.weights(np.array([REAL, FAKE])))
        if self.even_batches:
            real, fake = real / self.real, fake / self.fake
        mean = (real * self.real + fake * self.fake) / (self.real + self.fake)
        return {"real": real / mean, "fake": fake / mean}

    def __str__(self) -> str:
        weights, share = self.effective, self.real / (self.real + self.fake)
        return (
            f"{' and '.join(self.ways) or 'none'}: a real clip counts {weights['real']:.2f}, a "
            f"fake one {weights['fake']:.2f}; all real clips together {weights['real'] * share:.0%}"
            f", all fake ones {weights['fake'] * (1 - share):.0%}"
        )

    @property
    def warnings(self) -> list[str]:
        """Where more than one way is in force."""
        if len(self.ways) < 2:
            return []
        rarer = "fake" if self.fake < self.real else "real"
        return [
            f"Imbalance is corrected {len(self.ways)} times over ({' and '.join(self.ways)}): "
            f"the rarer class, {rarer}, now outweighs the other. Choose one."
        ]
