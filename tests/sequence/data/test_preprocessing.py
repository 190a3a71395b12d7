from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepfake_seq.config import INPUTS, ModelConfig
from deepfake_seq.sequence.data.preprocessing import Preprocessor, deltas, shuffle_frames

WIDTH = 5


@st.composite
def clips(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    count, frames = draw(st.integers(1, 5)), draw(st.integers(1, 8))
    generator = np.random.default_rng(draw(st.integers(0, 1000)))
    features = generator.normal(3, 2, size=(count, frames, WIDTH)).astype(np.float16)
    valid = generator.integers(1, frames + 1, size=(count, 1))
    return features, np.arange(frames) < valid


@settings(max_examples=40)
@given(clips(), st.sampled_from(INPUTS), st.booleans())
def test_masked_frames_have_no_effect(
    arrays: tuple[np.ndarray, np.ndarray], inputs: str, shuffled: bool
) -> None:
    features, mask = arrays
    dirty = features.copy()
    dirty[~mask] = np.array([np.nan, np.inf, -np.inf, 6e4, -6e4], dtype=np.float16)
    config = ModelConfig(inputs=inputs, shuffle_frames=shuffled)
    clean, other = (Preprocessor.fit(config, [(values, mask)]) for values in (features, dirty))
    for one, same in ((clean.frames, other.frames), (clean.statistics, other.statistics)):
        assert np.array_equal(one.mean, same.mean) and np.array_equal(one.scale, same.scale)
    applied, same_applied = clean.apply(features, mask), clean.apply(dirty, mask)
    for values, same_values in zip(applied, same_applied, strict=True):
        assert np.array_equal(values, same_values)
    assert not same_applied.frames[~mask].any()


@pytest.mark.parametrize("inputs", INPUTS)
def test_valid_inputs_have_zero_mean_and_unit_deviation(inputs: str) -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(3, 2, size=(50, 16, WIDTH)).astype(np.float16)
    mask = np.arange(16) < generator.integers(2, 17, size=(50, 1))
    batches = [(features[:20], mask[:20]), (features[20:], mask[20:])]
    applied = Preprocessor.fit(ModelConfig(inputs=inputs), batches).apply(features, mask)
    standardised = applied.frames
    after = mask.copy()
    after[:, 0] = False
    known = {"features": [mask], "delta": [after], "both": [mask, after]}[inputs]
    blocks = np.split(standardised, len(known), axis=2)
    for block, known_frames in zip(blocks, known, strict=True):
        assert np.allclose(block[known_frames].mean(axis=0), 0, atol=1e-3)
        assert np.allclose(block[known_frames].std(axis=0), 1, atol=1e-3)


@pytest.mark.parametrize(("inputs", "count"), [("features", 3), ("delta", 1), ("both", 3)])
def test_the_statistics_of_a_clip_have_mean_zero_and_together_a_mean_square_of_one(
    inputs: str, count: int
) -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(3, 2, size=(50, 16, WIDTH)).astype(np.float16)
    mask = np.arange(16) < generator.integers(2, 17, size=(50, 1))
    batches = [(features[:20], mask[:20]), (features[20:], mask[20:])]
    fitted = Preprocessor.fit(ModelConfig(inputs=inputs), batches)
    values = fitted.apply(features, mask).statistics
    assert values.shape == (50, count * WIDTH)
    assert np.allclose(values.mean(axis=0), 0, atol=1e-4)
    assert np.square(values).sum(axis=1).mean() == pytest.approx(1, abs=1e-3)
    narrow = Preprocessor.fit(ModelConfig(inputs=inputs, wide=False), batches)
    assert narrow.apply(features, mask).statistics.shape == (50, 0)


def test_a_delta_is_the_change_from_the_previous_frame() -> None:
    features = np.array([[[1.0], [4.0], [2.0], [9.0]]], dtype=np.float16)
    mask = np.array([[True, True, True, False]])
    assert deltas(features, mask)[0, :, 0].tolist() == [0.0, 3.0, 2.0, 0.0]


def test_a_constant_feature_becomes_zero() -> None:
    features = np.full((4, 3, 1), 7.0, dtype=np.float16)
    mask = np.ones((4, 3), dtype=bool)
    inputs = Preprocessor.fit(ModelConfig(), [(features, mask)]).apply(features, mask)
    assert not inputs.frames.any() and not inputs.statistics.any()


def test_the_shuffled_order_depends_only_on_the_clip() -> None:
    features = np.random.default_rng(0).normal(size=(20, 16, 3)).astype(np.float16)
    mask = np.arange(16) < np.full((20, 1), 12)
    shuffled = shuffle_frames(features, mask)
    assert np.array_equal(np.sort(shuffled[:, :12], axis=1), np.sort(features[:, :12], axis=1))
    orders = {
        tuple(np.argmax((after[:12, None] == before[:12]).all(axis=2), axis=0).tolist())
        for after, before in zip(shuffled, features, strict=True)
    }
    assert len(orders) == 20
    alone = shuffle_frames(features[7:8], mask[7:8])
    assert np.array_equal(alone[0], shuffled[7])
