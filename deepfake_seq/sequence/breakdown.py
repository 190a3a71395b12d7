"""Where a model fails: by method, by group, and clip by clip."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.sequence.metrics import auc
from deepfake_seq.sequence.predictions import Predictions

FEW = 10
"""A method or group with fewer clips than this says little."""


def by_method(judged: Predictions, threshold: float) -> list[dict[str, Any]]:
    """For each method its fakes against all real clips, the hardest first.

    Returns:
        `name`, `clips`, `recall` (the share called fake) and `auc`, as plain JSON values.
    """
    methods = np.array(judged.methods, dtype=object)
    real, fake = judged.labels == REAL, judged.labels == FAKE
    rows = []
    for name in sorted(set(methods[fake]) - {""}):
        own = fake & (methods == name)
        chosen = own | real
        rows.append(
            {
                "name": name,
                "clips": int(own.sum()),
                "recall": float((judged.scores[own] >= threshold).mean()),
                "auc": auc(judged.labels[chosen], judged.scores[chosen]),
            }
        )
    return sorted(rows, key=lambda row: row["recall"])


def by_group(judged: Predictions, threshold: float) -> list[dict[str, Any]]:
    """What became of the clips of each person or source, the most mistakes first.

    Returns:
        `name`, `real`, `fake`, `wrong` and `auc`, as plain JSON values; a clip with several groups
        counts in each.
    """
    members = defaultdict(list)
    for position, names in enumerate(judged.groups):
        for name in names:
            members[name].append(position)
    wrong = (judged.scores >= threshold) != (judged.labels == FAKE)
    rows = []
    for name, positions in sorted(members.items()):
        labels = judged.labels[positions]
        rows.append(
            {
                "name": name,
                "real": int((labels == REAL).sum()),
                "fake": int((labels == FAKE).sum()),
                "wrong": int(wrong[positions].sum()),
                "auc": auc(labels, judged.scores[positions]),
            }
        )
    return sorted(rows, key=lambda row: -row["wrong"])


def worst(judged: Predictions, threshold: float, most: int) -> Predictions:
    """The clips that were called wrongly, the surest mistakes first."""
    wrong = np.flatnonzero((judged.scores >= threshold) != (judged.labels == FAKE))
    off = np.abs(judged.scores - judged.labels)[wrong]
    return judged.take(wrong[np.argsort(-off, kind="stable")][:most])
