"""Augmented views: what is drawn, and what it does to the images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawing import draws, noise, same, seeds, sizes
from hypothesis import given

from deepfake_seq.augment import IDENTITY, Draw, apply_view, draw_view
from deepfake_seq.augment.view import BRIGHTNESS, CONTRAST, CROP_SIDE


@given(seeds)
def test_draws_are_in_range_and_depend_on_the_seed_alone(seed: int) -> None:
    draw = draw_view(np.random.default_rng(seed))
    assert draw == draw_view(np.random.default_rng(seed))
    assert CROP_SIDE[0] <= draw.side <= CROP_SIDE[1]
    assert min(draw.left, draw.top) >= 0
    assert max(draw.left, draw.top) + draw.side <= 1
    assert CONTRAST[0] <= draw.contrast <= CONTRAST[1]
    assert BRIGHTNESS[0] <= draw.brightness <= BRIGHTNESS[1]


def test_no_two_draws_are_alike_and_half_of_them_flip() -> None:
    generator = np.random.default_rng(0)
    many = [draw_view(generator) for _ in range(400)]
    assert len(set(many)) == 400
    assert 160 < sum(draw.flip for draw in many) < 240


@given(seeds, sizes, draws())
def test_sides_and_types_stay(seed: int, sizes: list[int], draw: Draw) -> None:
    images = apply_view(noise(seed, sizes), draw)
    assert [image.shape for image in images] == [(size, size, 3) for size in sizes]
    assert {image.dtype for image in images} == {np.dtype(np.uint8)}


@given(seeds, sizes)
def test_the_identity_changes_nothing(seed: int, sizes: list[int]) -> None:
    images = noise(seed, sizes)
    assert same(apply_view(images, IDENTITY), images)


@given(seeds, sizes)
def test_a_flip_mirrors_and_two_of_them_change_nothing(seed: int, sizes: list[int]) -> None:
    images, flip = noise(seed, sizes), replace(IDENTITY, flip=True)
    flipped = apply_view(images, flip)
    assert same(flipped, [image[:, ::-1] for image in images])
    assert same(apply_view(flipped, flip), images)


@given(seeds, draws())
def test_alike_frames_stay_alike(seed: int, draw: Draw) -> None:
    first, second, third = apply_view(noise(seed, [40]) * 3, draw)
    assert same([first, first], [second, third])


def test_a_crop_of_a_quarter_is_that_quarter_enlarged() -> None:
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[32:, 32:] = 200  # the quarter at the bottom right
    (shown,) = apply_view([image], replace(IDENTITY, left=0.5, top=0.5, side=0.5))
    assert (shown[1:, 1:] == 200).all()
    (shown,) = apply_view([image], replace(IDENTITY, left=0.0, top=0.5, side=0.5, flip=True))
    assert (shown[:, 1:] == 0).all()


def test_contrast_is_round_the_mean_of_each_channel_and_comes_before_brightness() -> None:
    image = np.empty((2, 2, 3), dtype=np.uint8)
    image[:] = [[[100, 50, 0]], [[140, 70, 0]]]
    (shown,) = apply_view([image], replace(IDENTITY, contrast=0.5, brightness=0.2))
    assert shown[:, 0].tolist() == [[161, 106, 51], [181, 116, 51]]


@pytest.mark.parametrize(("brightness", "level"), [(1.0, 255), (-1.0, 0)])
def test_nothing_wraps_round(brightness: float, level: int) -> None:
    (shown,) = apply_view(noise(0, [9]), replace(IDENTITY, brightness=brightness))
    assert (shown == level).all()
