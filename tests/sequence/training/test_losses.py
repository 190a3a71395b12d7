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
    """The loss of one clip as training weighs it."""
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
def test_alpha_is_that_of_the_keras_loss_with_class_balancing(label: int) -> None:
    balance = Balance(("alpha",), real=30, fake=70)
    keras_loss = load_keras().losses.BinaryFocalCrossentropy(
        apply_class_balancing=True, alpha=balance.alpha, gamma=2.0, from_logits=True
    )
    target, output = np.array([[float(label)]], "float32"), np.array([[0.7]], "float32")
    expected = float(np.asarray(keras_loss(target, output)))
    assert loss_of(label, 0.7, balance, 2.0) == pytest.approx(expected, rel=1e-5)


def test_alpha_is_the_share_of_the_other_class() -> None:
    assert Balance.of(("alpha",), MOSTLY_FAKE).alpha == pytest.approx(0.1)
    assert Balance.of(("alpha",), 1 - MOSTLY_FAKE).alpha == pytest.approx(0.9)


@pytest.mark.parametrize("way", BALANCES)
@pytest.mark.parametrize("labels", [MOSTLY_FAKE, 1 - MOSTLY_FAKE], ids=["fake", "real"])
def test_each_way_makes_both_classes_count_the_same(way: str, labels: np.ndarray) -> None:
    balance = Balance.of((way,), labels)
    effective = balance.effective
    share = labels.mean()
    assert effective["fake"] * share == pytest.approx(effective["real"] * (1 - share))
    assert effective["fake"] * share + effective["real"] * (1 - share) == pytest.approx(1)
    assert not balance.warnings


def test_without_any_every_clip_counts_the_same() -> None:
    balance = Balance.of((), MOSTLY_FAKE)
    assert balance.effective == {"real": 1.0, "fake": 1.0}
    assert "all real clips together 10%" in str(balance)


def test_two_ways_at_once_turn_the_imbalance_round_and_warn() -> None:
    balance = Balance.of(("alpha", "batches"), MOSTLY_FAKE)
    assert balance.effective["real"] * 0.1 == pytest.approx(0.9)
    (warning,) = balance.warnings
    assert "2 times over (alpha and batches)" in warning and "real" in warning


def test_an_undecided_model_is_pulled_to_neither_class() -> None:
    balance = Balance.of(("alpha",), MOSTLY_FAKE)
    fakes = 90 * loss_of(1, 0.0, balance, 2.0)
    reals = 10 * loss_of(0, 0.0, balance, 2.0)
    assert fakes == pytest.approx(reals, rel=1e-4)


LOGITS = np.linspace(-12, 12, 49, dtype=np.float32)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_the_losses_are_those_of_keras(label: float, gamma: float) -> None:
    targets = np.full_like(LOGITS, label)
    own = focal_losses(targets, LOGITS, gamma)
    keras_loss = keras_focal_loss(gamma)
    expected = [
        float(
            np.asarray(keras_loss(np.array([[label]], "float32"), np.array([[logit]], "float32")))
        )
        for logit in LOGITS
    ]
    assert np.allclose(own, expected, rtol=1e-3, atol=2e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_the_gradient_is_the_slope_of_the_loss(label: float, gamma: float) -> None:
    targets, step = np.full_like(LOGITS, label), np.float32(0.05)
    rise = focal_losses(targets, LOGITS + step, gamma) - focal_losses(targets, LOGITS - step, gamma)
    assert np.allclose(focal_gradient(targets, LOGITS, gamma), rise / (2 * step), atol=2e-3)


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_logits_of_any_size_have_a_loss_and_a_gradient(logit: float) -> None:
    for label in (0.0, 1.0):
        arrays = np.array([label], np.float32), np.array([logit], np.float32)
        assert np.isfinite(focal_losses(*arrays, 2.0)).all()
        assert np.isfinite(focal_gradient(*arrays, 2.0)).all()
