"""Augmented views: their random parameters and their effect on images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawing import draws, noise, same, seeds, sizes
from hypothesis import given

from deepfake_seq.augment import IDENTITY, Crops, Draw, apply_view, draw_view, landmarks_in_view
from deepfake_seq.augment.view import BRIGHTNESS, CONTRAST, CROP_SIDE


@given(seeds)
def test_draws_are_in_range_and_depend_only_on_the_seed(seed: int) -> None:
    draw = draw_view(np.random.default_rng(seed))
    assert draw == draw_view(np.random.default_rng(seed))
    assert CROP_SIDE[0] <= draw.side <= CROP_SIDE[1]
    assert min(draw.left, draw.top) >= 0
    assert max(draw.left, draw.top) + draw.side <= 1
    assert CONTRAST[0] <= draw.contrast <= CONTRAST[1]
    assert BRIGHTNESS[0] <= draw.brightness <= BRIGHTNESS[1]


def test_draws_differ_and_about_half_of_them_flip() -> None:
    generator = np.random.default_rng(0)
    many = [draw_view(generator) for _ in range(400)]
    assert len(set(many)) == 400
    assert 160 < sum(draw.flip for draw in many) < 240


@given(seeds, sizes, draws())
def test_sizes_and_dtypes_are_kept(seed: int, sizes: list[int], draw: Draw) -> None:
    images = apply_view(noise(seed, sizes), draw)
    assert [image.shape for image in images] == [(size, size, 3) for size in sizes]
    assert {image.dtype for image in images} == {np.dtype(np.uint8)}


@given(seeds, sizes)
def test_the_identity_changes_nothing(seed: int, sizes: list[int]) -> None:
    images = noise(seed, sizes)
    assert same(apply_view(images, IDENTITY), images)


@given(seeds, sizes)
def test_a_flip_mirrors_and_two_flips_change_nothing(seed: int, sizes: list[int]) -> None:
    images, flip = noise(seed, sizes), replace(IDENTITY, flip=True)
    flipped = apply_view(images, flip)
    assert same(flipped, [image[:, ::-1] for image in images])
    assert same(apply_view(flipped, flip), images)


@given(seeds, draws())
def test_equal_frames_stay_equal(seed: int, draw: Draw) -> None:
    first, second, third = apply_view(noise(seed, [40]) * 3, draw)
    assert same([first, first], [second, third])


def test_a_crop_of_a_quarter_is_that_quarter_enlarged() -> None:
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[32:, 32:] = 200  # the lower right quarter
    (view,) = apply_view([image], replace(IDENTITY, left=0.5, top=0.5, side=0.5))
    assert (view[1:, 1:] == 200).all()
    (view,) = apply_view([image], replace(IDENTITY, left=0.0, top=0.5, side=0.5, flip=True))
    assert (view[:, 1:] == 0).all()


def test_contrast_is_relative_to_the_channel_means_and_precedes_brightness() -> None:
    image = np.empty((2, 2, 3), dtype=np.uint8)
    image[:] = [[[100, 50, 0]], [[140, 70, 0]]]
    (view,) = apply_view([image], replace(IDENTITY, contrast=0.5, brightness=0.2))
    assert view[:, 0].tolist() == [[161, 106, 51], [181, 116, 51]]


@pytest.mark.parametrize(("brightness", "level"), [(1.0, 255), (-1.0, 0)])
def test_brightness_is_clipped(brightness: float, level: int) -> None:
    (view,) = apply_view(noise(0, [9]), replace(IDENTITY, brightness=brightness))
    assert (view == level).all()


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("left", "top", "side"), [(0, 0, 1), (0.15, 0.2, 0.7), (0.3, 0.35, 0.5)])
def test_landmarks_move_with_the_picture(left: float, top: float, side: float, flip: bool) -> None:
    draw = replace(IDENTITY, left=left, top=top, side=side, flip=flip)
    points = np.float32([[50, 55], [70, 54], [60, 65], [52, 72], [69, 75]])
    (moved,) = landmarks_in_view([points], [120], draw)
    assert moved is not None
    y, x = np.indices((120, 120))
    for number, target in zip([1, 0, 2, 4, 3] if flip else range(5), moved, strict=True):
        distance = np.hypot(x - points[number, 0], y - points[number, 1])
        spot = np.uint8(255 * np.exp(-((distance / 4) ** 2)))
        (view,) = apply_view([np.repeat(spot[..., None], 3, axis=2)], draw)
        weight = view[..., 0].astype(float)
        middle = [(weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()]
        np.testing.assert_allclose(middle, target, atol=0.1)


def test_the_left_eye_of_a_flipped_view_is_on_the_left(face: Crops) -> None:
    sizes = [len(image) for image in face.images_rgb]
    flipped = landmarks_in_view([*face.landmarks[:2], None], sizes, replace(IDENTITY, flip=True))
    for points in flipped[:2]:
        assert points is not None and points[0, 0] < points[1, 0] and points[3, 0] < points[4, 0]
    assert flipped[2] is None
    assert landmarks_in_view(face.landmarks, sizes, IDENTITY)[0].tolist() == (
        face.landmarks[0].tolist()
    )
