"""A model whose score depends only on the mean of the features."""

from __future__ import annotations

from typing import Any

import numpy as np
from records import FINGERPRINT

from deepfake_seq.config import ExtractConfig, ModelConfig
from deepfake_seq.sequence.evaluation.calibration import PlattScaling
from deepfake_seq.sequence.evaluation.threshold import Decision
from deepfake_seq.sequence.runs.run import SequenceModel

CLIPS = {"real": 40, "fake": 30}


class Mean:
    """A network whose logit is the mean of the valid features."""

    def logits(self, arrays: Any) -> np.ndarray:
        features, mask = arrays
        return np.array([rows[valid].mean() for rows, valid in zip(features, mask, strict=True)])


def mean_model(
    band: tuple[float, float] = (0.4, 0.6), smallest_face: int = 0, **changes: Any
) -> SequenceModel:
    """Return a model with a threshold of 0.5; features with mean 0 have this score."""
    decision = Decision(0.5, band, "fpr", 0.05, 0.025, CLIPS, True, {}, smallest_face)
    values = {
        "config": ModelConfig(),
        "members": (Mean(),),
        "shape": (16, 8),
        "calibration": PlattScaling(10.0, 0.0),
        "decision": decision,
        "data": "celeb-df-v2",
        "extract_config": ExtractConfig(),
        "fingerprint": FINGERPRINT,
        **changes,
    }
    return SequenceModel(**values)
