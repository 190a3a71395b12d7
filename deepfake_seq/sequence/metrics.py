"""How well scores tell fake from real, at video level. Fake is the positive class."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import FAKE, REAL

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def auc(labels: Labels, scores: Scores) -> float | None:
    """The area under the ROC curve; None where there is only one class."""
    from sklearn.metrics import roc_auc_score

    if len(np.unique(labels)) < 2:
        return None
    return float(roc_auc_score(labels, scores))


def at_threshold(labels: Labels, scores: Scores, threshold: float) -> dict[str, Any]:
    """Everything that is said of one part: counts, AUC, and decisions at a threshold.

    Args:
        labels: (N,); 1 = fake, 0 = real.
        scores: (N,); higher means more likely fake.
        threshold: Scores of at least this are called fake.

    Returns:
        Plain JSON values; a figure that the part cannot support is None.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    calls = (scores >= threshold).astype(np.int64)
    classes = [REAL, FAKE]
    both = len(np.unique(labels)) == 2
    matrix = confusion_matrix(labels, calls, labels=classes)
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, calls, labels=classes, zero_division=0.0
    )
    return {
        "clips": {"real": int((labels == REAL).sum()), "fake": int((labels == FAKE).sum())},
        "auc": auc(labels, scores),
        "accuracy": float((calls == labels).mean()) if len(labels) else None,
        "balanced_accuracy": float(np.mean(recall)) if both else None,
        "macro_f1": float(np.mean(f1)) if both else None,
        "per_class": {
            name: {
                "precision": float(precision[row]),
                "recall": float(recall[row]),
                "f1": float(f1[row]),
            }
            for row, name in enumerate(("real", "fake"))
        },
        "confusion": {
            "real_called_real": int(matrix[0, 0]),
            "real_called_fake": int(matrix[0, 1]),
            "fake_called_real": int(matrix[1, 0]),
            "fake_called_fake": int(matrix[1, 1]),
        },
    }
