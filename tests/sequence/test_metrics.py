from __future__ import annotations

import numpy as np
import pytest

from deepfake_seq.sequence.metrics import at_threshold, auc


def test_fake_is_the_positive_class() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    metrics = at_threshold(labels, np.array([0.1, 0.6, 0.5, 0.9, 0.2]), 0.5)
    assert metrics["confusion"] == {
        "real_called_real": 1,
        "real_called_fake": 1,
        "fake_called_real": 1,
        "fake_called_fake": 2,
    }
    assert metrics["clips"] == {"real": 2, "fake": 3}
    assert metrics["accuracy"] == pytest.approx(3 / 5)
    assert metrics["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert metrics["per_class"]["fake"]["f1"] == pytest.approx(2 / 3)


def test_calling_everything_fake_is_seen_through() -> None:
    labels = np.array([0] * 10 + [1] * 90)
    metrics = at_threshold(labels, np.full(100, 0.9), 0.5)
    assert metrics["per_class"]["fake"]["f1"] > 0.94
    assert metrics["balanced_accuracy"] == 0.5
    assert metrics["macro_f1"] < 0.5
    assert metrics["auc"] == 0.5


def test_one_class_supports_no_auc() -> None:
    assert auc(np.array([1, 1]), np.array([0.1, 0.9])) is None
    metrics = at_threshold(np.array([1, 1]), np.array([0.1, 0.9]), 0.5)
    assert metrics["auc"] is metrics["macro_f1"] is metrics["balanced_accuracy"] is None
