"""Errors of a model by manipulation method, by group, and clip by clip."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.sequence.evaluation.metrics import auc
from deepfake_seq.sequence.evaluation.predictions import Predictions

FEW = 10
"""Methods and groups with fewer clips than this are marked in the report."""


def by_method(predictions: Predictions, threshold: float) -> list[dict[str, Any]]:
    """Compare the fakes of each method with all real clips; lowest recall first.

    Returns:
        `name`, `clips`, `recall` (the fraction called fake) and `auc`, as plain JSON values.
    """
    methods = np.array(predictions.methods, dtype=object)
    real, fake = predictions.labels == REAL, predictions.labels == FAKE
    rows = []
    for name in sorted(set(methods[fake]) - {""}):
        fakes = fake & (methods == name)
        chosen = fakes | real
        rows.append(
            {
                "name": name,
                "clips": int(fakes.sum()),
                "recall": float((predictions.scores[fakes] >= threshold).mean()),
                "auc": auc(predictions.labels[chosen], predictions.scores[chosen]),
            }
        )
    return sorted(rows, key=lambda row: row["recall"])


def by_group(predictions: Predictions, threshold: float) -> list[dict[str, Any]]:
    """Count the errors on the clips of each person or source; most errors first.

    Returns:
        `name`, `real`, `fake`, `wrong` and `auc`, as plain JSON values; a clip with several groups
        counts in each.
    """
    members = defaultdict(list)
    for position, names in enumerate(predictions.groups):
        for name in names:
            members[name].append(position)
    wrong = (predictions.scores >= threshold) != (predictions.labels == FAKE)
    rows = []
    for name, positions in sorted(members.items()):
        labels = predictions.labels[positions]
        rows.append(
            {
                "name": name,
                "real": int((labels == REAL).sum()),
                "fake": int((labels == FAKE).sum()),
                "wrong": int(wrong[positions].sum()),
                "auc": auc(labels, predictions.scores[positions]),
            }
        )
    return sorted(rows, key=lambda row: -row["wrong"])


def most_confident_mistakes(predictions: Predictions, threshold: float, limit: int) -> Predictions:
    """Return up to `limit` misclassified clips, those with the scores furthest off first."""
    wrong = np.flatnonzero((predictions.scores >= threshold) != (predictions.labels == FAKE))
    off = np.abs(predictions.scores - predictions.labels)[wrong]
    return predictions.take(wrong[np.argsort(-off, kind="stable")][:limit])
