"""Distortions that a detector is tested under."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deepfake_seq.augment.distortions import (
    DEEPERFORENSICS,
    FIELD,
    GRID,
    SUITES,
    UNCHANGED,
    Distortion,
)
from deepfake_seq.config import STRESS_SUITES

SEED = (1, 2)
ALL = [distortion for suite in SUITES.values() for distortion in suite]


def crops(count: int = 6, side: int = 96) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    small = generator.integers(40, 220, (count, 12, 12, 3), dtype=np.uint8)
    return [cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) for image in small]


def change(distortion: Distortion, face_pixels: float = 74.0) -> float:
    """Return the mean difference of the distorted crops, enlarged to their former size."""
    before = crops()
    after = [
        cv2.resize(image, before[0].shape[:2])
        for image in distortion.apply(before, face_pixels, SEED)
    ]
    return float(np.abs(np.subtract(after, before, dtype=np.float32)).mean())


def test_the_suites_are_those_of_the_settings() -> None:
    assert tuple(SUITES) == STRESS_SUITES
    assert len(DEEPERFORENSICS) == 7 * 5
    assert len({distortion.name for distortion in ALL}) == len(ALL)


@pytest.mark.parametrize("kind", sorted({item.kind for item in DEEPERFORENSICS}))
def test_a_higher_level_changes_more(kind: str) -> None:
    changes = [change(item) for item in DEEPERFORENSICS if item.kind == kind]
    assert changes[0] > 0 and changes == sorted(changes)


@pytest.mark.parametrize("distortion", ALL, ids=lambda item: item.name)
def test_a_distortion_is_reproducible_and_leaves_the_crops_alone(distortion: Distortion) -> None:
    before = crops(3, 40)
    first, again = (distortion.apply(before, 300.0, SEED) for _ in range(2))
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
    assert all(np.array_equal(*pair) for pair in zip(before, crops(3, 40), strict=True))
    assert all(image.dtype == np.uint8 and image.shape[0] == image.shape[1] for image in first)


def test_a_face_gets_the_size_that_was_asked_for() -> None:
    (image,) = Distortion("face_pixels", (64.0,)).apply(crops(1, 260), 200.0, SEED)
    assert len(image) == round(260 * 64 / 200)
    assert Distortion("face_pixels", (64.0,)).scale(32.0) == 2.0, "too small to be reduced"


def test_half_the_frame_rate_shows_every_second_image_twice() -> None:
    images = crops(5)
    halved = Distortion("half_rate").apply(images, 74.0, SEED)
    assert [int(np.argmax([np.array_equal(a, b) for b in images])) for a in halved] == [
        0,
        0,
        2,
        2,
        4,
    ]


def test_the_unchanged_clip_is_no_cell_of_the_grid() -> None:
    assert change(UNCHANGED) == 0
    assert all(any(cell.level) for cell in GRID)
    assert Distortion("grid", (0.0, 0.0, 0.0)).apply(crops(1), 74.0, SEED)[0].shape == (96, 96, 3)


def test_field_conditions_include_repeated_compression() -> None:
    twice = next(item for item in FIELD if item.kind == "double_h264")
    assert change(twice) > change(Distortion("h264", twice.level))
