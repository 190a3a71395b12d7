"""Calibration: turn logits into probabilities, fitted on validation clips.

If the validation clips contain no fakes, it is fitted on the training clips instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from deepfake_seq.sequence.evaluation.metrics import Labels, Scores

RESOLUTION = 1e-4
"""Logits whose spread is smaller than this, relative to their size or to 1, count as equal.

Smaller differences may be rounding errors, which depend on the runtime and the machine.
"""


@dataclass(frozen=True)
class PlattScaling:
    """The function `sigmoid(slope * logit + intercept)` (Platt, 1999).

    Attributes:
        slope: Factor of the logit; never negative, so that the clips keep their ranking.
        intercept: Constant added to the scaled logit.
    """

    slope: Annotated[float, Meta(ge=0)] = 1.0
    intercept: float = 0.0

    @classmethod
    def fit(cls, labels: Labels, logits: Scores) -> PlattScaling:
        """Fit to clips of both classes; each class has the same total weight.

        scikit-learn's default L2 penalty keeps the slope finite if the logits separate the classes
        perfectly. If the logits are equal to within `RESOLUTION`, or if the model ranks the clips
        no better than chance, slope and intercept are 0, so that every clip gets the probability
        0.5.

        Args:
            labels: (N,); 1 = fake, 0 = real.
            logits: (N,); higher means more likely fake.
        """
        from sklearn.linear_model import LogisticRegression

        spread = float(logits.std())
        if spread <= RESOLUTION * max(1.0, float(np.abs(logits).max())):
            return cls(0.0, 0.0)
        model = LogisticRegression(class_weight="balanced")
        model.fit(((logits - logits.mean()) / spread)[:, None], labels)
        slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
        if slope <= 0:
            return cls(0.0, 0.0)
        return cls(slope / spread, intercept - slope * float(logits.mean()) / spread)

    def apply(self, logits: npt.NDArray[np.float64]) -> Scores:
        """Return the calibrated probabilities of fake, float64 (N,), of logits (N,)."""
        return 1.0 / (1.0 + np.exp(-np.clip(self.slope * logits + self.intercept, -500, 500)))
