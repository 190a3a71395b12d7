from __future__ import annotations

import numpy as np

from deepfake_seq.sequence.standardize import Standardizer


def test_valid_frames_get_zero_mean_and_unit_deviation() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(5.0, 3.0, size=(20, 16, 4)).astype(np.float16)
    mask = np.arange(16) < generator.integers(1, 17, size=(20, 1))
    standard = Standardizer.fit(features, mask).apply(features, mask)[mask]
    assert np.allclose(standard.mean(axis=0), 0.0, atol=1e-3)
    assert np.allclose(standard.std(axis=0), 1.0, atol=1e-3)


def test_what_stands_in_masked_frames_changes_nothing() -> None:
    generator = np.random.default_rng(1)
    features = generator.normal(size=(5, 16, 4)).astype(np.float16)
    mask = np.zeros((5, 16), dtype=bool)
    mask[:, :9] = True
    dirty = features.copy()
    dirty[~mask] = np.nan
    clean, other = Standardizer.fit(features, mask), Standardizer.fit(dirty, mask)
    assert np.array_equal(clean.mean, other.mean)
    assert np.array_equal(clean.apply(features, mask), other.apply(dirty, mask))


def test_a_feature_that_never_changes_becomes_zero_not_noise() -> None:
    features = np.full((3, 16, 2), 0.1, dtype=np.float16)
    mask = np.ones((3, 16), dtype=bool)
    standardizer = Standardizer.fit(features, mask)
    assert (standardizer.scale == 1.0).all()
    assert np.allclose(standardizer.apply(features, mask), 0.0, atol=1e-4)
