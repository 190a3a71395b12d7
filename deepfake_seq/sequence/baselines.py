"""What a sequence model has to beat, from the same clips."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.sequence.calibration import best_threshold
from deepfake_seq.sequence.data import SequenceData
from deepfake_seq.sequence.metrics import at_threshold
from deepfake_seq.sequence.standardize import Standardizer


def baselines(parts: dict[str, SequenceData], standardizer: Standardizer) -> dict[str, Any]:
    """The metrics of each baseline on each part but training.

    `majority` calls every clip what most training clips are. `mean_pool_logistic` is a logistic
    regression on the mean of the valid frames' features; its threshold, like the model's, is the
    one that suits the validation clips best.
    """
    scored = {
        "majority": _majority(parts),
        "mean_pool_logistic": _mean_pool_logistic(parts, standardizer),
    }
    results: dict[str, Any] = {}
    for name, scores in scored.items():
        # For the constant answer of the majority class this is 0.5.
        threshold = best_threshold(parts["validation"].labels, scores["validation"])
        results[name] = {
            part: at_threshold(parts[part].labels, scores[part], threshold)
            for part in scores
            if len(parts[part])
        }
    return results


def _majority(parts: dict[str, SequenceData]) -> dict[str, npt.NDArray[np.float64]]:
    answer = float(parts["train"].labels.mean() >= 0.5)
    return {part: np.full(len(parts[part]), answer) for part in ("validation", "test")}


def _mean_pool_logistic(
    parts: dict[str, SequenceData], standardizer: Standardizer
) -> dict[str, npt.NDArray[np.float64]]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def pooled(data: SequenceData) -> npt.NDArray[np.float32]:
        total = standardizer.apply(data.features, data.mask).sum(axis=1)
        return np.asarray(total / data.mask.sum(axis=1, keepdims=True), dtype=np.float32)

    model = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000)
    )
    model.fit(pooled(parts["train"]), parts["train"].labels)
    return {
        part: np.asarray(model.predict_proba(pooled(parts[part]))[:, 1], dtype=np.float64)
        if len(parts[part])
        else np.zeros(0)
        for part in ("validation", "test")
    }
