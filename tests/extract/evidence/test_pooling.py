"""Averages of feature maps in regions."""

from __future__ import annotations

import numpy as np

from deepfake_seq.extract.evidence.pooling import region_means


def test_each_channel_is_averaged_in_each_region() -> None:
    generator = np.random.default_rng(0)
    maps = generator.random((3, 4, 5, 7), dtype=np.float32)
    weights = generator.random((3, 2, 4, 5), dtype=np.float32)
    means = region_means(maps, weights)
    assert means.shape == (3, 2 * 7)
    expected = np.einsum("nrhw,nhwc->nrc", weights, maps).reshape(3, -1)
    np.testing.assert_allclose(means, expected, rtol=1e-5)


def test_a_region_of_one_cell_gives_that_cell() -> None:
    maps = np.random.default_rng(0).random((1, 4, 5, 7), dtype=np.float32)
    weights = np.zeros((1, 2, 4, 5), dtype=np.float32)
    weights[0, 0, 1, 2] = weights[0, 1, 3, 4] = 1
    np.testing.assert_array_equal(region_means(maps, weights)[0], [*maps[0, 1, 2], *maps[0, 3, 4]])
