"""Degradations of videos shared online: blur, JPEG and H.264."""

from __future__ import annotations

from typing import Any

import av
import cv2
import numpy as np
import pytest
from drawing import Image, noise, same, seeds, sizes
from hypothesis import given, settings

from deepfake_seq.augment import Crops, degradation, degrade
from deepfake_seq.config import DEGRADATIONS
from deepfake_seq.errors import EngineError


def mean_difference(images: list[Image], others: list[Image]) -> float:
    """Return the mean absolute difference in grey levels."""
    pairs = zip(images, others, strict=True)
    return float(np.mean([np.abs(one.astype(int) - other).mean() for one, other in pairs]))


def blur(images: list[Image]) -> list[Image]:
    return degradation.blur(images, 0.01)


def jpeg(images: list[Image]) -> list[Image]:
    return degradation.jpeg(images, 60)


def h264(images: list[Image]) -> list[Image]:
    return degradation.h264(images, 30)


every_degradation = pytest.mark.parametrize("apply", [blur, jpeg, h264])


def test_every_name_has_a_function() -> None:
    assert sorted(DEGRADATIONS) == sorted(degradation._DEGRADATIONS)


@every_degradation
@settings(max_examples=25)
@given(seeds, sizes)
def test_sizes_and_dtypes_are_kept(apply: Any, seed: int, sizes: list[int]) -> None:
    images = apply(noise(seed, sizes))
    assert [image.shape for image in images] == [(size, size, 3) for size in sizes]
    assert {image.dtype for image in images} == {np.dtype(np.uint8)}


@every_degradation
def test_a_face_loses_some_detail_and_stays_a_face(apply: Any, face: Crops) -> None:
    degraded = apply(face.images_rgb)
    assert 0.5 < mean_difference(degraded, face.images_rgb) < 13
    for image, original in zip(degraded, face.images_rgb, strict=True):
        assert np.abs(image.mean((0, 1)) - original.mean((0, 1))).max() < 2.5


@every_degradation
def test_the_result_is_reproducible(apply: Any, face: Crops) -> None:
    assert same(apply(face.images_rgb), apply(face.images_rgb))


def test_h264_does_not_depend_on_earlier_memory_content() -> None:
    generator = np.random.default_rng(0)
    small = [generator.integers(0, 256, (9, 9, 3), dtype=np.uint8) for _ in range(4)]
    images = [np.asarray(cv2.resize(image, (139, 139)), dtype=np.uint8) for image in small]
    first = degradation.h264(images, 30)
    for _ in range(60):
        generator.integers(0, 256, generator.integers(1000, 400_000), dtype=np.uint8)  # freed
        assert same(degradation.h264(images, 30), first)


@pytest.mark.parametrize("apply", [blur, jpeg])
def test_equal_frames_stay_equal(apply: Any, face: Crops) -> None:
    first, second, third = apply(face.images_rgb[:1] * 3)
    assert same([first, first], [second, third])


def test_frames_keep_their_order() -> None:
    levels = [10, 240, 60, 200, 120, 30, 160, 90]
    images = [np.full((33, 33, 3), level, dtype=np.uint8) for level in levels]
    for image, level in zip(degradation.h264(images, 23), levels, strict=True):
        assert np.abs(image.astype(int) - level).max() < 13


def test_stronger_degradations_change_images_more(face: Crops) -> None:
    images = face.images_rgb
    assert mean_difference(degradation.blur(images, 0.01), images) > mean_difference(
        degradation.blur(images, 0.002), images
    )
    assert mean_difference(degradation.jpeg(images, 40), images) > mean_difference(
        degradation.jpeg(images, 90), images
    )
    assert mean_difference(degradation.h264(images, 35), images) > mean_difference(
        degradation.h264(images, 23), images
    )


def test_h264_of_no_frames_is_empty() -> None:
    assert degradation.h264([], 23) == []


@given(seeds)
def test_no_requested_degradation_changes_nothing(seed: int) -> None:
    images = noise(seed, [8])
    assert same(degrade(images, (), np.random.default_rng(seed)), images)


def test_a_degradation_is_applied_to_about_half_of_the_clips(face: Crops) -> None:
    images = face.images_rgb[-1:]
    changed = sum(
        not same(degrade(images, ["jpeg"], np.random.default_rng(seed)), images)
        for seed in range(100)
    )
    assert 35 < changed < 65


def test_the_order_of_the_names_does_not_matter(face: Crops) -> None:
    for seed in range(8):
        one = degrade(face.images_rgb, DEGRADATIONS, np.random.default_rng(seed))
        other = degrade(face.images_rgb, DEGRADATIONS[::-1], np.random.default_rng(seed))
        assert same(one, other)


def test_the_error_for_a_missing_encoder_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def create(name: str, mode: str) -> None:
        raise av.codec.codec.UnknownCodecError(name)

    monkeypatch.setattr(av.CodecContext, "create", create)
    with pytest.raises(EngineError, match="libx264"):
        degradation.h264(noise(0, [20]), 23)
