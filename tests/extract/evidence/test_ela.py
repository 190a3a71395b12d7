"""Error level analysis of crops."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from deepfake_seq.extract.evidence.ela import WIDTH, error_levels
from deepfake_seq.face_regions import FIXED_LANDMARKS, REGIONS

SIDE = 128
LANDMARKS = (FIXED_LANDMARKS * SIDE).astype(np.float32)

Image = npt.NDArray[np.uint8]


def levels(image: Image) -> npt.NDArray[np.float32]:
    """Return the numbers by region, measure (mean, root mean square) and channel."""
    return error_levels(image, LANDMARKS).reshape(len(REGIONS), 2, 3)


@pytest.fixture
def noise() -> Image:
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def test_a_plain_crop_does_not_change() -> None:
    plain = np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)
    assert not levels(plain).any()


def test_detail_changes_where_it_is(noise: Image) -> None:
    picture = np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)
    top = int(LANDMARKS[3, 1]) - 10
    picture[top : top + 20, 48:80] = noise[:20, :32]
    mouth = levels(picture)[REGIONS.index("mouth")]
    assert (mouth > 5 * levels(picture)[REGIONS.index("eyes")]).all()
    assert (mouth[1] >= mouth[0]).all()  # a root mean square is never below the mean


def test_a_compressed_crop_changes_less(noise: Image) -> None:
    smooth = cv2.GaussianBlur(noise, (5, 5), 0)
    _, file = cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_QUALITY, 90])
    compressed = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), dtype=np.uint8)
    # Encoded as BGR and read as RGB, so only luma-like changes are comparable.
    assert levels(compressed).mean() < levels(smooth).mean()


@pytest.mark.parametrize("side", [1, 20, 33, 400])
def test_crops_of_any_size_give_finite_numbers(side: int) -> None:
    generator = np.random.default_rng(side)
    values = error_levels(generator.integers(0, 256, (side, side, 3), dtype=np.uint8), None)
    assert values.shape == (WIDTH,) and values.dtype == np.float32
    assert np.isfinite(values).all()
