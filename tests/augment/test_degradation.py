"""Degradations: what videos go through on their way through the net."""

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


def lost(images: list[Image], others: list[Image]) -> float:
    """Mean difference in grey levels."""
    pairs = zip(images, others, strict=True)
    return float(np.mean([np.abs(one.astype(int) - other).mean() for one, other in pairs]))


def blur(images: list[Image]) -> list[Image]:
    return degradation.blur(images, 0.01)


def jpeg(images: list[Image]) -> list[Image]:
    return degradation.jpeg(images, 60)


def h264(images: list[Image]) -> list[Image]:
    return degradation.h264(images, 30)


every_way = pytest.mark.parametrize("way", [blur, jpeg, h264])


def test_there_is_one_for_each_name() -> None:
    assert sorted(DEGRADATIONS) == sorted(degradation._WAYS)


@every_way
@settings(max_examples=25)
@given(seeds, sizes)
def test_sides_and_types_stay(way: Any, seed: int, sizes: list[int]) -> None:
    images = way(noise(seed, sizes))
    assert [image.shape for image in images] == [(size, size, 3) for size in sizes]
    assert {image.dtype for image in images} == {np.dtype(np.uint8)}


@every_way
def test_a_face_loses_some_detail_and_stays_a_face(way: Any, face: Crops) -> None:
    degraded = way(face.images_rgb)
    assert 0.5 < lost(degraded, face.images_rgb) < 13
    for image, original in zip(degraded, face.images_rgb, strict=True):
        assert np.abs(image.mean((0, 1)) - original.mean((0, 1))).max() < 2.5


@every_way
def test_it_is_the_same_every_time(way: Any, face: Crops) -> None:
    assert same(way(face.images_rgb), way(face.images_rgb))


def test_h264_does_not_depend_on_what_was_in_memory_before() -> None:
    generator = np.random.default_rng(0)
    small = [generator.integers(0, 256, (9, 9, 3), dtype=np.uint8) for _ in range(4)]
    images = [np.asarray(cv2.resize(image, (139, 139)), dtype=np.uint8) for image in small]
    first = degradation.h264(images, 30)
    for _ in range(60):
        generator.integers(0, 256, generator.integers(1000, 400_000), dtype=np.uint8)  # freed
        assert same(degradation.h264(images, 30), first)


@pytest.mark.parametrize("way", [blur, jpeg])
def test_alike_frames_stay_alike(way: Any, face: Crops) -> None:
    first, second, third = way(face.images_rgb[:1] * 3)
    assert same([first, first], [second, third])


def test_frames_come_back_in_their_order() -> None:
    levels = [10, 240, 60, 200, 120, 30, 160, 90]
    images = [np.full((33, 33, 3), level, dtype=np.uint8) for level in levels]
    for image, level in zip(degradation.h264(images, 23), levels, strict=True):
        assert np.abs(image.astype(int) - level).max() < 13


def test_worse_is_worse(face: Crops) -> None:
    images = face.images_rgb
    assert lost(degradation.blur(images, 0.01), images) > lost(
        degradation.blur(images, 0.002), images
    )
    assert lost(degradation.jpeg(images, 40), images) > lost(degradation.jpeg(images, 90), images)
    assert lost(degradation.h264(images, 35), images) > lost(degradation.h264(images, 23), images)


def test_no_frames_are_no_video() -> None:
    assert degradation.h264([], 23) == []


@given(seeds)
def test_what_is_not_asked_for_is_not_done(seed: int) -> None:
    images = noise(seed, [8])
    assert same(degrade(images, (), np.random.default_rng(seed)), images)


def test_each_way_is_gone_half_of_the_time(face: Crops) -> None:
    images = face.images_rgb[-1:]
    changed = sum(
        not same(degrade(images, ["jpeg"], np.random.default_rng(seed)), images)
        for seed in range(100)
    )
    assert 35 < changed < 65


def test_the_order_in_which_they_are_asked_for_does_not_matter(face: Crops) -> None:
    for seed in range(8):
        one = degrade(face.images_rgb, DEGRADATIONS, np.random.default_rng(seed))
        other = degrade(face.images_rgb, DEGRADATIONS[::-1], np.random.default_rng(seed))
        assert same(one, other)


def test_a_missing_encoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def create(name: str, mode: str) -> None:
        raise av.codec.codec.UnknownCodecError(name)

    monkeypatch.setattr(av.CodecContext, "create", create)
    with pytest.raises(EngineError, match="libx264"):
        degradation.h264(noise(0, [20]), 23)
