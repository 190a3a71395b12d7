from __future__ import annotations

import numpy as np
import pytest

from deepfake_seq.backend import load_keras
from deepfake_seq.config import BALANCES
from deepfake_seq.sequence.training.class_balance import Balance
from deepfake_seq.sequence.training.losses import focal_gradient, focal_losses, keras_focal_loss

MOSTLY_FAKE = np.array([1] * 90 + [0] * 10)


def sigmoid(logit: float) -> float:
    return 1 / (1 + np.exp(-logit))


def loss_of(label: int, logit: float, balance: Balance, gamma: float) -> float:
    """Return the weighted loss of one clip."""
    labels = np.array([label])
    losses = focal_losses(labels.astype(np.float32), np.array([logit], np.float32), gamma)
    return float((losses * balance.weights(labels))[0])


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("logit", [-2.0, 0.3, 1.5])
def test_the_loss_is_equation_5_of_the_paper(label: int, logit: float) -> None:
    gamma, balance = 2.0, Balance(("alpha",), real=9, fake=1)
    p = sigmoid(logit) if label else 1 - sigmoid(logit)
    weight = 0.9 if label else 0.1
    expected = -weight * (1 - p) ** gamma * np.log(p)
    assert loss_of(label, logit, balance, gamma) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("label", [0, 1])
def test_alpha_equals_class_balancing_in_keras(label: int) -> None:
    balance = Balance(("alpha",), real=30, fake=70)
    keras_loss = load_keras().losses.BinaryFocalCrossentropy(
        apply_class_balancing=True, alpha=balance.alpha, gamma=2.0, from_logits=True
    )
    target, output = np.array([[float(label)]], "float32"), np.array([[0.7]], "float32")
    expected = float(np.asarray(keras_loss(target, output)))
    assert loss_of(label, 0.7, balance, 2.0) == pytest.approx(expected, rel=1e-5)


def test_alpha_is_the_fraction_of_real_clips() -> None:
    assert Balance.of(("alpha",), MOSTLY_FAKE).alpha == pytest.approx(0.1)
    assert Balance.of(("alpha",), 1 - MOSTLY_FAKE).alpha == pytest.approx(0.9)


@pytest.mark.parametrize("method", BALANCES)
@pytest.mark.parametrize("labels", [MOSTLY_FAKE, 1 - MOSTLY_FAKE], ids=["fake", "real"])
def test_each_method_gives_both_classes_the_same_weight(method: str, labels: np.ndarray) -> None:
    balance = Balance.of((method,), labels)
    effective = balance.effective
    fraction = labels.mean()
    fake, real = effective["fake"] * fraction, effective["real"] * (1 - fraction)
    assert fake == pytest.approx(real)
    assert fake + real == pytest.approx(1)
    assert not balance.warnings


def test_without_balancing_every_clip_has_the_same_weight() -> None:
    balance = Balance.of((), MOSTLY_FAKE)
    assert balance.effective == {"real": 1.0, "fake": 1.0}
    assert "all real clips together 10%" in str(balance)


def test_two_methods_together_reverse_the_imbalance_and_warn() -> None:
    balance = Balance.of(("alpha", "batches"), MOSTLY_FAKE)
    assert balance.effective["real"] * 0.1 == pytest.approx(0.9)
    (warning,) = balance.warnings
    assert "2 times (alpha and batches)" in warning and "real" in warning


def test_both_classes_have_the_same_loss_at_logit_zero() -> None:
    balance = Balance.of(("alpha",), MOSTLY_FAKE)
    fakes = 90 * loss_of(1, 0.0, balance, 2.0)
    reals = 10 * loss_of(0, 0.0, balance, 2.0)
    assert fakes == pytest.approx(reals, rel=1e-4)


LOGITS = np.linspace(-12, 12, 49, dtype=np.float32)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_the_losses_are_those_of_keras(label: float, gamma: float) -> None:
    targets = np.full_like(LOGITS, label)
    losses = focal_losses(targets, LOGITS, gamma)
    keras_loss = keras_focal_loss(gamma)
    expected = [
        float(
            np.asarray(keras_loss(np.array([[label]], "float32"), np.array([[logit]], "float32")))
        )
        for logit in LOGITS
    ]
    assert np.allclose(losses, expected, rtol=1e-3, atol=2e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_the_gradient_is_the_derivative_of_the_loss(label: float, gamma: float) -> None:
    targets, step = np.full_like(LOGITS, label), np.float32(0.05)
    rise = focal_losses(targets, LOGITS + step, gamma) - focal_losses(targets, LOGITS - step, gamma)
    assert np.allclose(focal_gradient(targets, LOGITS, gamma), rise / (2 * step), atol=2e-3)


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_large_logits_have_a_finite_loss_and_gradient(logit: float) -> None:
    for label in (0.0, 1.0):
        arrays = np.array([label], np.float32), np.array([logit], np.float32)
        assert np.isfinite(focal_losses(*arrays, 2.0)).all()
        assert np.isfinite(focal_gradient(*arrays, 2.0)).all()
