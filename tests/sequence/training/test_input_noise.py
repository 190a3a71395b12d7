"""Noise and dropout of the inputs in training."""

from __future__ import annotations

import numpy as np
import pytest

from deepfake_seq.sequence.data.preprocessing import Inputs
from deepfake_seq.sequence.training.input_noise import InputNoise, NoiseSettings

CLIPS, FRAMES, WIDTH = 20, 7, 300
MASK = np.arange(FRAMES) < np.resize(np.arange(2, FRAMES + 1), CLIPS)[:, None]
INPUTS = np.random.default_rng(0).standard_normal((CLIPS, FRAMES, WIDTH)).astype(np.float32)
INPUTS[~MASK] = 0
STATISTICS = np.ones((CLIPS, 3 * WIDTH), dtype=np.float32)


def apply(settings: NoiseSettings, seed: int = 1, inputs: np.ndarray = INPUTS) -> np.ndarray:
    return changed(settings, seed, inputs).frames


def changed(settings: NoiseSettings, seed: int = 1, inputs: np.ndarray = INPUTS) -> Inputs:
    noise = InputNoise(settings, (FRAMES, WIDTH), np.random.default_rng(seed))
    return noise.apply(Inputs(inputs.copy(), MASK, STATISTICS))


def test_without_noise_and_dropout_the_inputs_stay_as_they_are() -> None:
    assert np.array_equal(apply(NoiseSettings(0.0, 0.0)), INPUTS)


def test_dropout_removes_whole_inputs_of_a_clip_and_scales_up_the_others() -> None:
    dropped = apply(NoiseSettings(0.0, 0.25))
    valid = np.broadcast_to(MASK[..., None], INPUTS.shape)
    ratio = np.where(valid, dropped / np.where(valid, INPUTS, 1), np.nan)
    for clip in ratio:
        of_input = clip[~np.isnan(clip).any(axis=1)]
        assert np.allclose(of_input, of_input[0], atol=1e-5), "frames differ"
    kept = np.nanmean(ratio, axis=1)
    assert np.all(np.isclose(kept, 0) | np.isclose(kept, 4 / 3, atol=1e-5))
    assert (kept == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert len(np.unique(kept == 0, axis=0)) == CLIPS, "clips share a choice"


def test_noise_has_the_given_deviation_and_differs_between_frames() -> None:
    added = (apply(NoiseSettings(0.5, 0.0)) - INPUTS)[MASK]
    assert added.std() == pytest.approx(0.5, abs=0.01) and abs(added.mean()) < 0.01
    assert len(np.unique(added)) > 0.9 * added.size


def test_noise_differs_between_clips_and_between_batches() -> None:
    noise = InputNoise(NoiseSettings(1.0, 0.0), (FRAMES, WIDTH), np.random.default_rng(1))
    zeros = np.zeros((CLIPS, FRAMES, WIDTH), dtype=np.float32)
    batches = [noise.apply(Inputs(zeros.copy(), MASK, STATISTICS)).frames for _ in range(2)]
    of_first_frame = np.concatenate([frames[:, 0] for frames in batches])
    similarity = np.corrcoef(of_first_frame) - np.eye(2 * CLIPS)
    assert np.abs(similarity).max() < 0.3


def test_masked_frames_stay_zero_and_their_content_has_no_effect() -> None:
    noise = NoiseSettings(1.0, 0.5)
    clean = apply(noise)
    assert not clean[~MASK].any() and clean[MASK].any()
    dirty = INPUTS.copy()
    dirty[~MASK] = np.nan
    assert np.array_equal(apply(noise, inputs=dirty), clean)


def test_the_seed_determines_the_noise() -> None:
    noise = NoiseSettings(1.0, 0.5)
    assert np.array_equal(apply(noise, 1), apply(noise, 1))
    assert not np.array_equal(apply(noise, 1), apply(noise, 2))


def test_block_dropout_removes_whole_blocks_from_inputs_and_statistics_but_never_all() -> None:
    blocks = {"features": 200, "depths": 70, "regions": 30}
    noise = NoiseSettings(0.0, 0.0, 0.6, blocks)
    kept_of_clip = set()
    for seed in range(5):
        result = changed(noise, seed)
        for clip in range(CLIPS):
            of_frames = np.split(result.frames[clip, 0], [200, 270])
            kept = tuple(bool(block.any()) for block in of_frames)
            assert any(kept)
            expected = np.tile(np.repeat(kept, [200, 70, 30]), 3)
            assert np.array_equal(result.statistics[clip], expected)
            for block, original, is_kept in zip(
                of_frames, np.split(INPUTS[clip, 0], [200, 270]), kept, strict=True
            ):
                assert np.array_equal(block, original * is_kept)
            kept_of_clip.add(kept)
    assert len(kept_of_clip) == 7
