from __future__ import annotations

import numpy as np
import pytest

from deepfake_seq.sequence.losses import focal_alpha, focal_loss


def sigmoid(logit: float) -> float:
    return 1 / (1 + np.exp(-logit))


def loss_of(label: int, logit: float, alpha: float, gamma: float) -> float:
    target, output = np.array([[float(label)]], "float32"), np.array([[logit]], "float32")
    return float(np.asarray(focal_loss(alpha, gamma)(target, output)))


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("logit", [-2.0, 0.3, 1.5])
def test_the_loss_is_equation_5_of_the_paper(label: int, logit: float) -> None:
    alpha, gamma = 0.9, 2.0
    p = sigmoid(logit) if label else 1 - sigmoid(logit)
    weight = alpha if label else 1 - alpha
    expected = -weight * (1 - p) ** gamma * np.log(p)
    assert loss_of(label, logit, alpha, gamma) == pytest.approx(expected, rel=1e-4)


def test_the_rarer_class_weighs_more() -> None:
    mostly_fake = np.array([1] * 90 + [0] * 10)
    assert focal_alpha(mostly_fake) == pytest.approx(0.1)
    assert focal_alpha(1 - mostly_fake) == pytest.approx(0.9)


def test_an_undecided_model_is_pulled_to_neither_class() -> None:
    labels = np.array([1] * 90 + [0] * 10)
    alpha = focal_alpha(labels)
    fakes = 90 * loss_of(1, 0.0, alpha, 2.0)
    reals = 10 * loss_of(0, 0.0, alpha, 2.0)
    assert fakes == pytest.approx(reals, rel=1e-4)
