"""The contract of every trainer, and agreement between NumPy and Keras."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from children import run_python
from hypothesis import given
from hypothesis import strategies as st

from deepfake_seq.config import TRAINERS, ModelConfig
from deepfake_seq.sequence.data.preprocessing import Inputs
from deepfake_seq.sequence.models import sequence_model
from deepfake_seq.sequence.training.losses import focal_losses, mask_gradient, mask_losses
from deepfake_seq.sequence.training.objective import Objective, TrainingBatch
from deepfake_seq.sequence.training.trainer import (
    Trainer,
    build_trainer,
    initial_weights,
)

FRAMES, WIDTH, CLIPS = 7, 12, 9
WITH_MASKS = Objective(2.0, 1e-2, wide_l2=0.3, mask_weight=0.7)
MODELS = [
    ModelConfig("gru", dropout=0.0, wide=False),
    ModelConfig("gru", dropout=0.0),
    ModelConfig("gru", bidirectional=True, dropout=0.0),
    ModelConfig("lstm", dropout=0.0),
    ModelConfig("lstm", bidirectional=True, dropout=0.0),
    ModelConfig("dense", dropout=0.0),
    ModelConfig("attention", dropout=0.0),
    ModelConfig("frame_attention", dropout=0.0),
]


def batch(seed: int = 0, clips: int = CLIPS, shares: np.ndarray | None = None) -> TrainingBatch:
    """Return inputs, targets and weights of some clips."""
    generator = np.random.default_rng(seed)
    mask = np.arange(FRAMES) < generator.integers(2, FRAMES + 1, clips)[:, None]
    inputs = generator.standard_normal((clips, FRAMES, WIDTH)).astype(np.float32)
    inputs[~mask] = 0
    targets = (np.arange(clips) % 2).astype(np.float32)
    weights = generator.uniform(0.2, 1.0, clips).astype(np.float32)
    statistics = generator.standard_normal((clips, 3 * WIDTH)).astype(np.float32)
    return TrainingBatch(Inputs(inputs, mask, statistics), targets, weights, CLIPS, shares)


def known_shares(clips: int) -> np.ndarray:
    """Return the replaced shares of some clips; those of every third are unknown."""
    shares = np.random.default_rng(5).uniform(0, 1, (clips, 6)).astype(np.float32)
    shares[::3] = np.nan
    return shares


def make_trainer(runtime: str, config: ModelConfig, rate: float = 1e-2) -> Trainer:
    return build_trainer(runtime, config, (FRAMES, WIDTH), Objective(2.0, rate, wide_l2=0.3))


@pytest.fixture(
    params=[
        pytest.param(config, id=config.title, marks=[pytest.mark.slow] * config.bidirectional)
        for config in MODELS
    ]
)
def config(request: pytest.FixtureRequest) -> Iterator[ModelConfig]:
    yield request.param


@pytest.fixture(params=TRAINERS)
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_numpy_trains_the_same_weights_as_keras(config: ModelConfig) -> None:
    start = initial_weights(config, WIDTH, 1)
    trainers = [make_trainer(name, config) for name in TRAINERS]
    for trainer in trainers:
        trainer.start(start, 0)
    for number, clips in enumerate([CLIPS, CLIPS, CLIPS - 4]):  # the last batch is smaller
        losses = [trainer.step(batch(number, clips)) for trainer in trainers]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
        one, other = (trainer.weights for trainer in trainers)
        assert one.keys() == other.keys() == start.keys()
        for name in one:
            assert np.abs(one[name] - start[name]).max() > 1e-4, f"{name} has not changed"
            np.testing.assert_allclose(one[name], other[name], atol=2e-4, err_msg=name)


def test_the_gradient_is_the_derivative_of_the_loss(config: ModelConfig) -> None:
    rows = batch()
    inputs, targets, weights = rows.inputs, rows.targets, rows.weights
    start = {
        name: tensor.astype(np.float64)
        for name, tensor in initial_weights(config, WIDTH, 3).items()
    }
    model = sequence_model.Model(config)

    def loss(at: dict[str, np.ndarray]) -> float:
        training = np.random.default_rng(0)
        logits = model.forward(
            {name: tensor.copy() for name, tensor in at.items()}, inputs, training
        )
        return float((focal_losses(targets, logits, 0.0) * weights).sum())

    loss(start)
    logits = model.forward(
        {k: v.copy() for k, v in start.items()}, inputs, np.random.default_rng(0)
    )
    slope = (1 / (1 + np.exp(-logits)) - targets) * weights
    gradients = model.backward(start, slope)
    generator = np.random.default_rng(0)
    for name, gradient in gradients.items():
        direction = generator.standard_normal(gradient.shape)
        direction /= np.linalg.norm(direction)
        step = 1e-3
        ahead = loss(start | {name: start[name] + step * direction})
        behind = loss(start | {name: start[name] - step * direction})
        expected = (ahead - behind) / (2 * step)
        assert (gradient * direction).sum() == pytest.approx(expected, abs=4e-3), name


@pytest.mark.parametrize(  # the kinds of its inputs
    "name", [pytest.param("gru", marks=pytest.mark.slow), "dense", "attention"]
)
def test_numpy_trains_a_second_output_like_keras(name: str) -> None:
    config = ModelConfig(name, dropout=0.0)
    start = initial_weights(config, WIDTH, 1, masks=True)
    trainers = [build_trainer(name, config, (FRAMES, WIDTH), WITH_MASKS) for name in TRAINERS]
    for trainer in trainers:
        trainer.start(start, 0)
    for number, clips in enumerate([CLIPS, CLIPS, CLIPS - 4]):
        losses = [trainer.step(batch(number, clips, known_shares(clips))) for trainer in trainers]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
        one, other = (trainer.weights for trainer in trainers)
        assert one.keys() == other.keys() == start.keys()
        for name in one:
            np.testing.assert_allclose(one[name], other[name], atol=2e-4, err_msg=name)
    assert np.abs(one["masks/kernel"] - start["masks/kernel"]).max() > 1e-3


def test_the_gradient_of_both_outputs_is_the_derivative_of_their_loss(config: ModelConfig) -> None:
    rows = batch()
    inputs, targets, weights = rows.inputs, rows.targets, rows.weights
    shares = known_shares(CLIPS)
    start = {
        name: tensor.astype(np.float64)
        for name, tensor in initial_weights(config, WIDTH, 3, masks=True).items()
    }
    model = sequence_model.Model(config, masks=True)

    def logits(at: dict[str, np.ndarray]) -> np.ndarray:
        copies = {name: tensor.copy() for name, tensor in at.items()}
        return model.forward(copies, inputs, np.random.default_rng(0))

    def loss(at: dict[str, np.ndarray]) -> float:
        main = np.logaddexp(0, logits(at) * (1 - 2 * targets)) * weights
        return float((main + 0.7 * mask_losses(shares, model.mask_logits)).sum())

    slope = (1 / (1 + np.exp(-logits(start))) - targets) * weights
    gradients = model.backward(start, slope, 0.7 * mask_gradient(shares, model.mask_logits))
    assert gradients.keys() == {name for name in start if sequence_model.trainable(name)}
    generator = np.random.default_rng(0)
    for name, gradient in gradients.items():
        direction = generator.standard_normal(gradient.shape)
        direction /= np.linalg.norm(direction)
        step = 1e-4
        ahead = loss(start | {name: start[name] + step * direction})
        behind = loss(start | {name: start[name] - step * direction})
        expected = (ahead - behind) / (2 * step)
        assert (gradient * direction).sum() == pytest.approx(expected, abs=4e-3), name


def test_clips_with_unknown_shares_do_not_train_the_second_output() -> None:
    config = ModelConfig("gru", dropout=0.0)
    unknown = np.full((CLIPS, 6), np.nan, np.float32)
    trained = []
    for mask_weight in (0.0, 0.7):
        objective = Objective(2.0, 1e-2, wide_l2=0.3, mask_weight=mask_weight)
        trainer = build_trainer("numpy", config, (FRAMES, WIDTH), objective)
        start = initial_weights(config, WIDTH, 1, masks=mask_weight > 0)
        trainer.start(start, 0)
        trainer.step(batch(shares=unknown if mask_weight else None))
        trained.append(trainer.weights)
    assert np.array_equal(trained[1]["masks/kernel"], start["masks/kernel"])
    for name, tensor in trained[0].items():
        np.testing.assert_allclose(tensor, trained[1][name], atol=1e-6, err_msg=name)


def test_a_row_without_weight_trains_the_second_output_alone(runtime: str) -> None:
    config = ModelConfig("gru", dropout=0.0)
    rows = batch(shares=known_shares(CLIPS))
    trainer = build_trainer(runtime, config, (FRAMES, WIDTH), WITH_MASKS)
    start = initial_weights(config, WIDTH, 1, masks=True)
    trainer.start(start, 0)
    loss = trainer.step(replace(rows, weights=0 * rows.weights))
    changed = {name for name, tensor in trainer.weights.items() if (tensor != start[name]).any()}
    assert loss == pytest.approx(0.0, abs=1e-6)
    assert "masks/kernel" in changed and "gru_1/gru_cell/kernel" in changed
    assert not changed & {"logit/kernel", "logit/bias", "wide/kernel"}


def test_the_penalty_of_the_wide_part_shrinks_its_weights() -> None:
    norms = []
    for penalty in (0.0, 10.0):
        objective = Objective(2.0, 1e-2, penalty)
        trainer = build_trainer("numpy", ModelConfig("gru"), (FRAMES, WIDTH), objective)
        trainer.start(initial_weights(ModelConfig("gru"), WIDTH, 1), 0)
        for _ in range(5):
            trainer.step(batch())
        norms.append(np.linalg.norm(trainer.weights["wide/kernel"]))
    assert norms[1] < 0.5 * norms[0]


@pytest.mark.parametrize(
    ("runtime", "name"),
    [("numpy", "gru"), ("numpy", "lstm"), pytest.param("keras", "lstm", marks=pytest.mark.slow)],
)
def test_masked_frames_have_no_effect_on_training(runtime: str, name: str) -> None:
    config = ModelConfig(name, bidirectional=True, dropout=0.0)
    rows = batch()
    dirty = rows.inputs.frames.copy()
    dirty[~rows.inputs.mask] = 100.0
    trainer = make_trainer(runtime, config)
    trained = []
    for inputs in (rows.inputs, rows.inputs._replace(frames=dirty)):
        trainer.start(initial_weights(config, WIDTH, 1), 0)
        trainer.step(replace(rows, inputs=inputs))
        trained.append(trainer.weights)
    for name in trained[0]:
        np.testing.assert_allclose(trained[0][name], trained[1][name], atol=1e-6, err_msg=name)


def test_a_training_does_not_depend_on_the_previous_one(runtime: str) -> None:
    config = ModelConfig("lstm", dropout=0.5)
    trainer = make_trainer(runtime, config)
    trained = []
    for seed in (1, 2, 1):
        trainer.start(initial_weights(config, WIDTH, seed), seed)
        for number in range(3):
            trainer.step(batch(number))
        trained.append(trainer.weights)
    first, second, third = trained
    assert all(np.array_equal(first[name], third[name]) for name in first)
    assert any(not np.allclose(first[name], second[name]) for name in first)


def test_dropout_differs_between_steps_and_between_seeds(runtime: str) -> None:
    config = ModelConfig("attention", dropout=0.5)
    losses = []
    for seed in (1, 2):
        trainer = make_trainer(runtime, config, rate=1e-9)  # so that nothing else changes
        trainer.start(initial_weights(config, WIDTH, 0), seed)
        losses += [trainer.step(batch()) for _ in range(2)]
    assert len({round(loss, 6) for loss in losses}) == 4


def test_the_returned_weights_are_a_copy(runtime: str) -> None:
    config = ModelConfig("attention")
    trainer = make_trainer(runtime, config)
    start = initial_weights(config, WIDTH, 0)
    trainer.start(start, 0)
    before = trainer.weights
    trainer.step(batch())
    assert all(np.array_equal(before[name], start[name]) for name in start)


@given(st.sampled_from(MODELS), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_initial_weights_are_distributed_as_in_keras(
    config: ModelConfig, width: int, seed: int
) -> None:
    weights = initial_weights(config, width, seed)
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    assert shapes == sequence_model.shapes(config, width)
    assert not weights.pop("wide/kernel", np.zeros(1)).any()
    for name, tensor in weights.items():
        assert tensor.dtype == np.float32
        role = name.rsplit("/", 1)[-1]
        if role == "kernel":
            assert np.abs(tensor).max() <= np.sqrt(6 / sum(tensor.shape)) * (1 + 1e-6)
        elif role == "recurrent_kernel":
            np.testing.assert_allclose(tensor @ tensor.T, np.eye(len(tensor)), atol=1e-5)
        elif role in ("gamma", "moving_variance"):
            assert (tensor == 1).all()
        elif "lstm" not in name:
            assert (tensor == 0).all()
        else:
            assert tensor.sum() == len(tensor) // 4


def test_the_numpy_trainer_imports_no_framework() -> None:
    code = (
        "import sys, numpy as np\n"
        "from deepfake_seq.config import ModelConfig\n"
        "from deepfake_seq.sequence.training.trainer import build_trainer, initial_weights\n"
        "from deepfake_seq.sequence.training.objective import TrainingBatch, Objective\n"
        "from deepfake_seq.sequence.data.preprocessing import Inputs\n"
        "config = ModelConfig()\n"
        "trainer = build_trainer('numpy', config, (4, 8), Objective(2.0, 1e-3))\n"
        "trainer.start(initial_weights(config, 8, 0), 0)\n"
        "ones = np.ones(2, np.float32)\n"
        "inputs = Inputs(np.ones((2, 4, 8), np.float32), np.ones((2, 4), bool), "
        "np.ones((2, 24), np.float32))\n"
        "trainer.step(TrainingBatch(inputs, ones, ones, 2))\n"
        "print(*sys.modules)\n"
    )
    assert not {"tensorflow", "keras", "jax", "torch"} & set(run_python(code).split())
