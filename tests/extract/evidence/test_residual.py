"""Noise residuals: what three high-pass filters leave of a crop."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from deepfake_seq.extract.evidence.residual import LIMIT, ZERO, residual_image

Image = npt.NDArray[np.uint8]

SQUARE = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4
LINE = np.array([[1, -2, 1]]) / 2
LARGE = (
    np.array(
        [
            [-1, 2, -2, 2, -1],
            [2, -6, 8, -6, 2],
            [-2, 8, -12, 8, -2],
            [2, -6, 8, -6, 2],
            [-1, 2, -2, 2, -1],
        ]
    )
    / 12
)


def grey(values: npt.ArrayLike) -> Image:
    return np.repeat(np.uint8(values)[..., None], 3, axis=2)


@pytest.fixture
def noise() -> Image:
    generator = np.random.default_rng(0)
    return grey(128 + generator.normal(0, 1.5, (64, 64)).round())


@pytest.mark.parametrize("contrast", [1, 20, 255])
def test_the_channels_are_the_residuals_of_the_three_published_filters(contrast: int) -> None:
    generator = np.random.default_rng(0)
    picture = grey(generator.normal(127, contrast, (64, 64)).round().clip(0, 255))
    residuals = (residual_image(picture, 64).astype(float) - ZERO) * LIMIT / 127
    for channel, kernel in enumerate((SQUARE, LARGE, LINE)):
        exact = cv2.filter2D(picture[..., 0].astype(float), -1, kernel)
        rounding = LIMIT / 127 / 2 + 1e-9
        np.testing.assert_allclose(
            residuals[..., channel], exact.clip(-LIMIT, LIMIT), rtol=0, atol=rounding
        )


def test_smooth_pictures_leave_nothing() -> None:
    row = np.arange(64)
    for picture in (np.full((64, 64), 200), row + np.zeros((64, 1)), row + 2 * row[:, None]):
        inner = residual_image(grey(picture), 64)[2:-2, 2:-2]
        assert (inner == ZERO).all()


def test_brightness_does_not_matter(noise: Image) -> None:
    np.testing.assert_array_equal(
        residual_image(noise + np.uint8(40), 64), residual_image(noise, 64)
    )


def test_edges_are_clipped() -> None:
    stripes = np.zeros((32, 32))
    stripes[:, ::4] = 255
    image = residual_image(grey(stripes), 32)
    assert (image.min(), image.max()) == (1, 255)


def test_noise_is_found_at_the_native_size_of_the_crop(noise: Image) -> None:
    enlarged = cv2.resize(noise, (640, 640), interpolation=cv2.INTER_LINEAR)
    spread = [residual_image(image, 64).astype(float).std() for image in (noise, enlarged)]
    assert spread[0] > 5 * spread[1]


@pytest.mark.parametrize("side", [1, 2, 3, 5, 31, 500])
def test_crops_of_any_size_give_images_of_the_input_size(side: int) -> None:
    generator = np.random.default_rng(side)
    image = residual_image(generator.integers(0, 256, (side, side, 3), dtype=np.uint8), 48)
    assert image.shape == (48, 48, 3) and image.dtype == np.uint8
