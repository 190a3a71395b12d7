"""The autoencoder that is trained on real clips alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calling import deepseq
from records import make_store

from deepfake_seq.config import TrainConfig
from deepfake_seq.sequence.data.clip import Clip
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.data.features import ArrayFeatures
from deepfake_seq.sequence.evaluation.metrics import auc
from deepfake_seq.sequence.models.autoencoder import COMPONENTS, FillIn, residuals, shapes
from deepfake_seq.sequence.training.autoencoder import fit_autoencoder
from deepfake_seq.sequence.training.trainer import draw_weights

FRAMES, WIDTH = 8, 6
QUICK = TrainConfig(epochs=5, learning_rate=1e-2)


def clips(count: int, seed: int) -> SequenceData:
    """Return clips whose frames turn at a constant speed; the fakes jump between frames."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    phase = generator.uniform(0, 6, (count, 1, WIDTH)) + np.arange(FRAMES)[:, None] * 0.4
    features = np.sin(phase) + 0.8 * labels[:, None, None] * generator.normal(size=phase.shape)
    mask = np.arange(FRAMES) < generator.integers(4, FRAMES + 1, count)[:, None]
    rows = tuple(Clip(f"{seed}/{n}", int(label)) for n, label in enumerate(labels))
    return SequenceData(rows, ArrayFeatures(features.astype(np.float16), mask), np.arange(count))


def weights_of(seed: int = 0) -> dict[str, np.ndarray]:
    network = {
        name.removeprefix("network/"): shape
        for name, shape in shapes(WIDTH).items()
        if name.startswith("network/")
    }
    return draw_weights(network, seed)


def test_the_gradient_is_the_derivative_of_the_error_of_the_hidden_frames() -> None:
    generator = np.random.default_rng(0)
    frames = generator.normal(size=(3, FRAMES, COMPONENTS)).astype(np.float32)
    mask = np.arange(FRAMES) < np.array([[FRAMES], [6], [4]])
    hidden = mask & (np.arange(FRAMES) % 4 == 1)
    weights, model = weights_of(), FillIn()

    def error(at: dict[str, np.ndarray]) -> float:
        difference = (model.forward(at, frames, mask, hidden) - frames) * hidden[..., None]
        return float(np.square(difference).mean(dtype=np.float64))

    difference = (model.forward(weights, frames, mask, hidden) - frames) * hidden[..., None]
    gradients = model.backward(weights, 2 * difference / np.float32(difference.size))
    assert gradients.keys() == weights.keys()
    for name, gradient in gradients.items():
        direction = gradient / max(np.linalg.norm(gradient), 1e-12)
        step = np.float32(0.05)
        ahead = error(weights | {name: weights[name] + step * direction})
        behind = error(weights | {name: weights[name] - step * direction})
        expected = np.linalg.norm(gradient)
        assert (ahead - behind) / (2 * step) == pytest.approx(expected, rel=0.05, abs=1e-6), name


def test_the_hidden_frames_are_not_seen() -> None:
    frames = np.random.default_rng(0).normal(size=(2, FRAMES, COMPONENTS)).astype(np.float32)
    mask = np.ones((2, FRAMES), dtype=bool)
    hidden = np.arange(FRAMES) % 4 == np.array([[0], [2]])
    other = np.where(hidden[..., None], 99.0, frames).astype(np.float32)
    model, weights = FillIn(), weights_of()
    filled = model.forward(weights, frames, mask, hidden)
    assert np.array_equal(filled, model.forward(weights, other, mask, hidden))


def test_training_lowers_the_error_and_finds_clips_whose_frames_jump() -> None:
    training, validation, test = (clips(count, seed) for seed, count in enumerate((60, 40, 40)))
    config = replace(QUICK, epochs=40)
    network, history, best = fit_autoencoder(training, validation, config, lambda *_: None)
    assert history[-1]["loss"] < 0.7 * history[0]["loss"] and 30 <= best <= 40
    logits = network.logits(test.features.read(test.rows))
    assert auc(test.labels, logits) > 0.9
    real = validation.take(np.flatnonzero(validation.labels == 0))
    held_out = network.logits(real.features.read(real.rows))
    assert held_out.mean() == pytest.approx(0, abs=1e-3)
    assert held_out.std() == pytest.approx(1, abs=1e-3)


def test_fakes_have_no_effect_on_the_network() -> None:
    training, validation = clips(30, 0), clips(20, 1)
    networks = []
    for data in (training, training.take(np.flatnonzero(training.labels == 0))):
        networks.append(fit_autoencoder(data, validation, QUICK, lambda *_: None)[0].tensors)
    for name, tensor in networks[0].items():
        assert np.array_equal(tensor, networks[1][name]), name


def test_each_frame_is_hidden_once() -> None:
    frames = np.random.default_rng(0).normal(size=(1, FRAMES, COMPONENTS)).astype(np.float32)
    mask = np.arange(FRAMES)[None] < 6
    weights = {name: np.zeros_like(tensor) for name, tensor in weights_of().items()}
    errors = []
    for frame in range(6):
        visible = [n for n in range(6) if n % 4 != frame % 4]
        errors.append(np.square(frames[0, frame] - frames[0, visible].mean(axis=0)).mean())
    assert residuals(weights, frames, mask)[0] == pytest.approx(np.mean(errors), rel=1e-4)


def test_the_output_says_what_the_model_is_worth(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", shift=0.0)
    result = deepseq(
        *("fit", "--features", store.path, "--model", "autoencoder", "--epochs", 2),
        *("--members", 1, "--out", tmp_path / "run", "--json"),
    )
    assert result.exit_code == 0, result.stderr
    auc_ = json.loads(result.stdout)["validation"]["auc"]
    assert f"trained on real clips alone: AUC {auc_:.2f} on the validation" in result.stderr
    evaluated = deepseq("evaluate", tmp_path / "run", "--features", store.path, "--json")
    assert evaluated.exit_code == 0, evaluated.stderr
