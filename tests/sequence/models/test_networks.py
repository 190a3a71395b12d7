"""The contract of every network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deepfake_seq.config import INPUTS, MODELS, ModelConfig
from deepfake_seq.sequence.data.preprocessing import STATISTICS, Preprocessor, statistics
from deepfake_seq.sequence.models import autoencoder
from deepfake_seq.sequence.models.autoencoder import AutoencoderNetwork
from deepfake_seq.sequence.models.keras_models import build_model
from deepfake_seq.sequence.models.networks import (
    LogisticNetwork,
    Network,
    SequenceNetwork,
    restore,
    unscaled,
)
from deepfake_seq.sequence.models.sequence_model import shapes

FRAMES, WIDTH = 12, 6
CONFIGS = [
    *[ModelConfig(name, inputs="both" if name == "logistic" else "features") for name in MODELS],
    ModelConfig("gru", bidirectional=True),
    ModelConfig("lstm", bidirectional=True),
    ModelConfig("gru", bidirectional=True, inputs="both"),
    ModelConfig("gru", inputs="delta", shuffle_frames=True),
    ModelConfig("gru", units=(5,)),
    ModelConfig("gru", wide=False),
    ModelConfig("lstm", bidirectional=True, units=(7, 3)),
    ModelConfig("gru", bidirectional=True, units=(4, 6, 2, 3)),
]
GENERATOR = np.random.default_rng(0)
FEATURES = GENERATOR.normal(1, 2, size=(11, FRAMES, WIDTH)).astype(np.float16)
MASK = np.arange(FRAMES) < np.arange(2, 13)[:, None]


def make(config: ModelConfig, seed: int = 0) -> Network:
    """Return a network with random weights."""
    generator = np.random.default_rng(seed)

    def numbers(*shape: int) -> Any:
        return generator.normal(0, 0.3, size=shape).astype(np.float32)

    if config.name == "logistic":
        count = STATISTICS[config.inputs] * WIDTH
        return LogisticNetwork(config.inputs, numbers(count), numbers(1))
    if config.name == "autoencoder":
        tensors = {name: numbers(*shape) for name, shape in autoencoder.shapes(WIDTH).items()}
        tensors["preprocessor/residual_scale"][:] = 0.5
        return AutoencoderNetwork(tensors)
    preprocessor = Preprocessor.fit(config, [(FEATURES, MASK)])
    weights = {name: numbers(*shape) for name, shape in shapes(config, WIDTH).items()}
    for name, tensor in weights.items():
        if name.endswith("variance"):
            weights[name] = abs(tensor) + 0.1
    return SequenceNetwork(preprocessor, weights)


def name_of(config: ModelConfig) -> str:
    return f"{config.title}-{config.inputs}-{config.units}-{config.wide}"


@pytest.fixture(params=CONFIGS, ids=name_of)
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return request.param  # type: ignore[no-any-return]


def test_masked_frames_change_no_logit_before_or_after_saving(
    config: ModelConfig,
) -> None:
    network = make(config)
    restored = restore(config, WIDTH, network.tensors)
    clean = network.logits((FEATURES, MASK))
    assert len(np.unique(clean)) == len(clean), "a constant network would prove nothing"
    for seed in range(5):
        dirty = FEATURES.copy()
        noise = np.random.default_rng(seed).normal(0, 1e4, size=dirty.shape).astype(np.float16)
        noise[..., seed] = np.nan
        dirty[~MASK] = noise[~MASK]
        assert np.array_equal(network.logits((dirty, MASK)), clean)
        assert np.array_equal(restored.logits((dirty, MASK)), clean)


def test_the_logit_of_a_clip_does_not_depend_on_other_clips(config: ModelConfig) -> None:
    network = make(config)
    together = network.logits((FEATURES, MASK))
    alone = [network.logits((FEATURES[n : n + 1], MASK[n : n + 1]))[0] for n in range(len(MASK))]
    assert np.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [config for config in CONFIGS if config.name not in ("logistic", "autoencoder")],
    ids=lambda config: f"{config.title}-{config.inputs}",
)
def test_numpy_gives_the_logits_of_keras(config: ModelConfig) -> None:
    network = make(config)
    preprocessor = Preprocessor.fit(config, [(FEATURES, MASK)])
    model = build_model(config, FRAMES, WIDTH)
    names = [variable.path for variable in model.weights]
    assert names == list(shapes(config, WIDTH))
    model.set_weights([network.tensors[f"network/{name}"] for name in names])
    inputs = preprocessor.apply(FEATURES, MASK)[: len(model.inputs)]
    expected = np.asarray(model.predict_on_batch(list(inputs)))[:, 0]
    assert np.allclose(network.logits((FEATURES, MASK)), expected, rtol=1e-4, atol=1e-5)
    assert network.parameters == {
        "total": sum(int(np.prod(tensor.shape)) for tensor in model.weights),
        "trainable": sum(int(np.prod(tensor.shape)) for tensor in model.trainable_weights),
    }


def test_no_clips_give_no_logits(config: ModelConfig) -> None:
    assert make(config).logits((FEATURES[:0], MASK[:0])).shape == (0,)


def test_networks_of_one_architecture_share_no_weights(config: ModelConfig) -> None:
    one, other = make(config, 0), make(config, 1)
    first, second = one.logits((FEATURES, MASK)), other.logits((FEATURES, MASK))
    assert not np.allclose(first, second)
    assert np.array_equal(one.logits((FEATURES, MASK)), first)


def test_the_parameter_count_is_that_of_the_tensors(config: ModelConfig) -> None:
    network = make(config)
    count = sum(
        tensor.size for name, tensor in network.tensors.items() if "preprocessor" not in name
    )
    assert network.parameters["total"] == count
    assert 0 < network.parameters["trainable"] <= count


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "nan", "dtype"])
def test_tensors_that_do_not_fit_are_refused_with_their_name(
    config: ModelConfig, change: str
) -> None:
    tensors = dict(make(config).tensors)
    name = sorted(tensors)[-1]
    if change == "missing":
        del tensors[name]
    elif change == "extra":
        tensors[name := "intruder"] = np.zeros(3, np.float32)
    elif change == "shape":
        tensors[name] = np.zeros((*tensors[name].shape, 1), np.float32)
    elif change == "nan":
        tensors[name] = np.full_like(tensors[name], np.nan)
    else:
        tensors[name] = tensors[name].astype(np.float64)
    with pytest.raises(ValueError, match=name):
        restore(config, WIDTH, tensors)


def test_frame_attention_equals_attention_for_a_single_frame() -> None:
    whole = make(ModelConfig("attention"))
    tensors = {
        name.replace("logit/", "frame_logit/"): tensor for name, tensor in whole.tensors.items()
    }
    framewise = restore(ModelConfig("frame_attention"), WIDTH, tensors)
    single = np.arange(FRAMES) < np.ones((len(MASK), 1), dtype=np.int64)
    assert np.allclose(
        framewise.logits((FEATURES, single)), whole.logits((FEATURES, single)), atol=1e-6
    )
    assert not np.allclose(framewise.logits((FEATURES, MASK)), whole.logits((FEATURES, MASK)))


def test_frame_attention_averages_the_logits_of_the_frames() -> None:
    network = make(ModelConfig("frame_attention"))
    together = network.logits((FEATURES[-1:], MASK[-1:]))[0]
    frames = FEATURES[-1][MASK[-1]][:, None]
    alone = network.logits((frames, np.ones((len(frames), 1), dtype=bool)))
    assert together == pytest.approx(alone.mean(), abs=1e-5)


def test_an_unscaled_network_does_not_standardise_its_inputs() -> None:
    config = ModelConfig("frame_attention")
    weights = {
        name.removeprefix("network/"): tensor
        for name, tensor in make(config).tensors.items()
        if name.startswith("network/")
    }
    network = unscaled(config, WIDTH, weights)
    kernel, bias = weights["attention/kernel"], weights["attention/bias"]
    gap = FEATURES[0, 0].astype(np.float32)
    attended = gap / (1 + np.exp(-(gap @ kernel + bias)))
    expected = attended @ weights["frame_logit/kernel"] + weights["frame_logit/bias"]
    alone = (FEATURES[:1, :1], np.ones((1, 1), dtype=bool))
    assert network.logits(alone)[0] == pytest.approx(float(expected[0]), abs=1e-5)
    with pytest.raises(ValueError, match="attention/bias"):
        unscaled(config, WIDTH, {**weights, "attention/bias": np.zeros(1, np.float32)})


@pytest.mark.parametrize("inputs", [*INPUTS, "mean"])
def test_statistics_are_those_of_the_valid_frames(inputs: str) -> None:
    rows = statistics((FEATURES, MASK), inputs)
    for row, features, mask in zip(rows, FEATURES, MASK, strict=True):
        valid = features[mask].astype(np.float64)
        change = np.abs(np.diff(valid, axis=0)).mean(axis=0)
        expected = {
            "mean": [valid.mean(axis=0)],
            "features": [valid.mean(axis=0), valid.std(axis=0)],
            "delta": [change],
            "both": [valid.mean(axis=0), valid.std(axis=0), change],
        }[inputs]
        assert np.allclose(row, np.concatenate(expected), atol=1e-3)
