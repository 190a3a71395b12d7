from __future__ import annotations

import numpy as np
import pytest

from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.models.keras_models import build_model


def count_parameters(config: ModelConfig) -> dict[str, int]:
    model = build_model(config, 16, 2048)
    return {
        "total": sum(int(np.prod(tensor.shape)) for tensor in model.weights),
        "trainable": sum(int(np.prod(tensor.shape)) for tensor in model.trainable_weights),
    }


def test_the_gru_has_the_parameter_count_of_the_paper() -> None:
    assert count_parameters(ModelConfig(wide=False)) == {"total": 418_657, "trainable": 418_465}


def test_the_bigru_has_parameters_for_each_direction() -> None:
    # Each GRU of U units on W inputs has 3 U (W + U + 2) parameters, and the next one sees 2 U.
    gru = sum(
        2 * 3 * units * (width + units + 2) for units, width in ((64, 2048), (32, 128), (16, 64))
    )
    norms, dense = 4 * (128 + 64), (32 * 32 + 32) + (32 + 1)
    assert count_parameters(ModelConfig(bidirectional=True, wide=False)) == {
        "total": gru + norms + dense,
        "trainable": gru + norms // 2 + dense,
    }


def test_the_bigru_has_852_609_parameters() -> None:
    assert count_parameters(ModelConfig(bidirectional=True, wide=False))["total"] == 852_609


def test_the_wide_part_adds_one_weight_for_each_statistic() -> None:
    narrow, wide = (count_parameters(ModelConfig(wide=wide)) for wide in (False, True))
    assert {name: wide[name] - narrow[name] for name in wide} == {
        "total": 3 * 2048,
        "trainable": 3 * 2048,
    }


@pytest.mark.parametrize("units", [(8,), (128, 64), (4, 3, 2, 1)])
def test_the_recurrent_layers_have_the_configured_units(units: tuple[int, ...]) -> None:
    for name in ("gru", "lstm"):
        model = build_model(ModelConfig(name, units=units), 4, 8)
        layers = [layer for layer in model.layers if layer.name.startswith(name)]
        assert tuple(layer.units for layer in layers) == units


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_output_does_not_depend_on_masked_frames(bidirectional: bool) -> None:
    model = build_model(ModelConfig(bidirectional=bidirectional, wide=False), 16, 8)
    generator = np.random.default_rng(0)
    features = generator.normal(size=(16, 16, 8)).astype(np.float32)
    mask = np.arange(16) < np.arange(1, 17)[:, None]
    dirty = features.copy()
    dirty[~mask] = 1e3 * generator.normal(size=dirty[~mask].shape)
    clean_logits = np.asarray(model.predict_on_batch([features, mask]))
    assert np.array_equal(clean_logits, np.asarray(model.predict_on_batch([dirty, mask])))
    assert len(np.unique(clean_logits)) == 16


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_masked_clip_has_the_logit_of_the_shorter_clip(bidirectional: bool) -> None:
    config = ModelConfig(bidirectional=bidirectional, wide=False)
    model, short_model = build_model(config, 16, 8), build_model(config, 9, 8)
    short_model.set_weights(model.get_weights())
    features = np.random.default_rng(0).normal(size=(2, 16, 8)).astype(np.float32)
    mask = np.arange(16) < np.array([[9], [9]])
    logits = np.asarray(model.predict_on_batch([features, mask]))
    short = np.asarray(short_model.predict_on_batch([features[:, :9], np.ones((2, 9), dtype=bool)]))
    assert np.allclose(logits, short, atol=1e-6)


def test_attention_on_pooled_features_is_that_of_the_paper() -> None:
    model = build_model(ModelConfig("attention"), 4, 3)
    generator = np.random.default_rng(0)
    weights = [generator.normal(size=variable.shape) for variable in model.weights]
    model.set_weights(weights)
    features = generator.normal(size=(1, 4, 3)).astype(np.float32)
    mask = np.array([[True, True, True, False]])
    gap = features[0, :3].mean(axis=0)
    attended = gap / (1 + np.exp(-(gap @ weights[0] + weights[1])))
    expected = attended @ weights[2] + weights[3]
    assert np.allclose(model.predict_on_batch([features, mask])[0], expected, atol=1e-5)


def test_the_dense_model_averages_the_logits_of_the_frames() -> None:
    model = build_model(ModelConfig("dense"), 4, 3)
    features = np.random.default_rng(0).normal(size=(1, 4, 3)).astype(np.float32)
    mask = np.array([[True, True, True, False]])
    one = [np.eye(4, dtype=bool)[:1] * 0 + (np.arange(4) == 0)] * 3
    frames = [features[:, [number, 0, 0, 0]] for number in range(3)]
    alone = [
        model.predict_on_batch([frame, first])[0, 0]
        for frame, first in zip(frames, one, strict=True)
    ]
    assert np.isclose(model.predict_on_batch([features, mask])[0, 0], np.mean(alone), atol=1e-5)
    assert [layer.units for layer in model.layers if hasattr(layer, "units")] == [256, 128, 64, 1]
