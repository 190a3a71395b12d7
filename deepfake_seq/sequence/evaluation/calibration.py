"""From logits to probabilities, by validation clips (or, where these have no fakes, others)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from deepfake_seq.sequence.evaluation.metrics import Labels, Scores


@dataclass(frozen=True)
class PlattScaling:
    """`sigmoid(slope * logit + intercept)` (Platt, 1999).

    Attributes:
        slope: Never negative, so that the ranking of the clips stays.
        intercept: Where the classes are in balance.
    """

    slope: Annotated[float, Meta(ge=0)] = 1.0
    intercept: float = 0.0

    @classmethod
    def fit(cls, labels: Labels, logits: Scores) -> PlattScaling:
        """Fit to clips of both classes, which are weighed alike.

        The mild ridge of scikit-learn's default keeps the slope finite where the clips can be told
        apart without a mistake. Where the model ranks no better than chance, the slope is 0: every
        clip gets the same probability, which is the truth about such a model.
        """
        from sklearn.linear_model import LogisticRegression

        spread = float(logits.std()) or 1.0
        model = LogisticRegression(class_weight="balanced")
        model.fit(((logits - logits.mean()) / spread)[:, None], labels)
        slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
        if slope <= 0:
            return cls(0.0, 0.0)
        return cls(slope / spread, intercept - slope * float(logits.mean()) / spread)

    def apply(self, logits: npt.NDArray[np.float64]) -> Scores:
        """Calibrated probabilities of fake, (N,) float64."""
        return 1.0 / (1.0 + np.exp(-np.clip(self.slope * logits + self.intercept, -500, 500)))
