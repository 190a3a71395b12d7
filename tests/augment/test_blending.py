"""Self-blended fakes: only the face changes, and in the same way in every frame."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from drawing import noise, same, seeds, sizes
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deepfake_seq.augment import Crops, self_blend
from deepfake_seq.augment.blending import (
    Blend,
    apply_blend,
    blended_shares,
    draw_blend,
    warp_blend_mask,
)
from deepfake_seq.augment.masks import RATIOS, SIDE, draw_mask
from deepfake_seq.augment.placement import Placement, from_box, from_landmarks, locate_faces
from deepfake_seq.augment.retouching import apply_retouch, draw_retouch
from deepfake_seq.face_regions import REGIONS, region_weights

FEW = settings(max_examples=25)


def blend(seed: int) -> Blend:
    return draw_blend(np.random.default_rng(seed))


def without_landmarks(crops: Crops) -> Crops:
    return replace(crops, landmarks=[None] * len(crops.landmarks))


@FEW
@given(seeds)
def test_a_mask_has_soft_edges_and_the_size_of_a_face(seed: int) -> None:
    mask = draw_mask(np.random.default_rng(seed))
    assert mask.shape == (SIDE, SIDE) and mask.dtype == np.float32
    assert mask.min() == 0 and mask.max() in RATIOS
    assert not mask[[0, -1]].any() and not mask[:, [0, -1]].any()
    middle = SIDE // 2
    assert mask[middle, middle] == mask.max()
    full = mask == mask.max()
    assert 0.04 < full.mean() < 0.3  # the square is 2 × 2 faces large
    steps = np.abs(np.diff(mask, axis=0)).max(), np.abs(np.diff(mask, axis=1)).max()
    assert max(steps) < 0.45 * mask.max()


@FEW
@given(seeds)
def test_a_mask_is_connected_and_has_no_holes(seed: int) -> None:
    mask = draw_mask(np.random.default_rng(seed))
    for region in (mask > 0, mask == 0):
        count, _ = cv2.connectedComponents(region.astype(np.uint8))
        assert count == 2  # the region and its complement


@FEW
@given(seeds)
def test_pixels_outside_the_mask_do_not_change(face: Crops, seed: int) -> None:
    draw = blend(seed)
    fake = apply_blend(face, draw)
    for image, original, place in zip(fake, face.images_rgb, locate_faces(face), strict=True):
        mask = warp_blend_mask(place, len(image), draw)
        assert mask.min() >= 0 and mask.max() <= 1
        assert not mask[[0, 0, -1, -1], [0, -1, 0, -1]].any()  # no face in the corners of a crop
        assert np.array_equal(image[mask == 0], original[mask == 0])


@FEW
@given(seeds)
def test_the_face_is_changed_in_every_frame(face: Crops, seed: int) -> None:
    draw = blend(seed)
    for image, original, place in zip(
        apply_blend(face, draw), face.images_rgb, locate_faces(face), strict=True
    ):
        inside = warp_blend_mask(place, len(image), draw) > 0
        assert np.abs(image[inside].astype(int) - original[inside]).mean() > 0.7


@FEW
@given(seeds)
def test_equal_frames_stay_equal(face: Crops, seed: int) -> None:
    still = Crops(face.images_rgb[:1] * 3, face.boxes_xyxy[:1] * 3, face.landmarks[:1] * 3)
    first, second, third = self_blend(still, np.random.default_rng(seed))
    assert same([first, first], [second, third])


@FEW
@given(seeds)
def test_the_result_depends_on_the_seed(face: Crops, seed: int) -> None:
    once = self_blend(face, np.random.default_rng(seed))
    assert same(once, self_blend(face, np.random.default_rng(seed)))
    assert not same(once, self_blend(face, np.random.default_rng(seed + 1)))


@FEW
@given(seeds, sizes)
def test_sizes_and_dtypes_are_kept(seed: int, sizes: list[int]) -> None:
    boxes = [np.float32([0.1, 0.1, 0.9, 0.9]) * np.float32(size) for size in sizes]
    crops = Crops(noise(seed, sizes), boxes, [None] * len(sizes))
    images = self_blend(crops, np.random.default_rng(seed))
    assert [image.shape for image in images] == [(size, size, 3) for size in sizes]
    assert {image.dtype for image in images} == {np.dtype(np.uint8)}


def test_every_change_is_drawn_with_its_probability() -> None:
    draws = [blend(seed) for seed in range(200)]
    assert 70 < sum(draw.retouch.shrink > 1 for draw in draws) < 130
    assert 70 < sum(draw.scale > 1 for draw in draws) < 130
    assert 30 < sum(any(draw.retouch.rgb) for draw in draws) < 90
    assert {float(draw.mask.max()) for draw in draws} == set(RATIOS)


@FEW
@given(seeds, st.integers(0, 255))
def test_retouching_keeps_grey_grey_and_in_range(seed: int, level: int) -> None:
    retouch = replace(draw_retouch(np.random.default_rng(seed)), rgb=(0.0, 0.0, 0.0))
    image = apply_retouch(np.full((12, 12, 3), level, dtype=np.float32), retouch)
    assert image.dtype == np.float32
    assert image.min() >= 0 and image.max() <= 255
    assert np.ptp(image) < 0.01


@given(
    st.floats(-0.6, 0.6),
    st.floats(60, 120),
    st.floats(0.8, 1.2),
    st.floats(-5, 5),
    st.floats(-5, 5),
)
def test_a_face_is_located_by_its_landmarks(
    tilt: float, unit: float, wide: float, x: float, y: float
) -> None:
    across = np.array([np.cos(tilt), np.sin(tilt)]) * unit * wide
    down = np.array([-np.sin(tilt), np.cos(tilt)]) * unit
    middle = np.array([200 + x, 200 + y])
    marks = np.float32([
        middle - down / 2 - across / 2,
        middle - down / 2 + across / 2,
        middle,
        middle + down / 2 - across / 3,
        middle + down / 2 + across / 3,
    ])  # fmt: skip
    box = np.float32([200 - unit, 200 - 1.3 * unit, 200 + unit, 200 + 1.3 * unit])
    placement = from_landmarks(box, marks)
    assert placement.tilt == pytest.approx(tilt, abs=0.01)
    assert placement.unit == pytest.approx(max(unit, unit * wide), rel=0.01)
    assert np.hypot(placement.x - middle[0], placement.y - middle[1]) < 0.1 * unit
    eyes = placement.to_pixels() @ [0, -0.5, 1]
    assert np.hypot(*(eyes - (middle - down / 2))) < 0.2 * unit


@given(seeds, st.floats(1, 300), st.floats(1, 300))
def test_any_landmarks_locate_the_face_within_the_limits_of_its_box(
    seed: int, width: float, height: float
) -> None:
    assume(0.25 < width / height < 4)
    marks = np.random.default_rng(seed).normal(0, 1000, (5, 2)).astype(np.float32)
    box = np.float32([50, 50, 50 + width, 50 + height])
    placement, by_box = from_landmarks(box, marks), from_box(box)
    assert abs(placement.x - by_box.x) <= by_box.unit
    assert abs(placement.y - by_box.y) <= by_box.unit
    assert 0.599 < placement.unit / by_box.unit < 1.501
    assert 0.75 <= placement.width <= 1


def test_coinciding_landmarks_are_accepted() -> None:
    box = np.float32([0, 0, 100, 130])
    assert isinstance(from_landmarks(box, np.full((5, 2), 50, dtype=np.float32)), Placement)


def test_box_and_landmarks_give_similar_placements(face: Crops) -> None:
    for one, other in zip(locate_faces(face), locate_faces(without_landmarks(face)), strict=True):
        assert abs(one.x - other.x) < 0.15 * one.unit
        assert abs(one.y - other.y) < 0.15 * one.unit
        assert 0.8 < other.unit / one.unit < 1.25


def test_one_frame_without_landmarks_places_all_frames_by_their_boxes(face: Crops) -> None:
    partly = replace(face, landmarks=[None, *face.landmarks[1:]])
    assert locate_faces(partly) == locate_faces(without_landmarks(face))


@FEW
@given(seeds)
def test_without_landmarks_the_mask_stays_in_the_box(face: Crops, seed: int) -> None:
    draw = blend(seed)
    for box, place, image in zip(
        face.boxes_xyxy, locate_faces(without_landmarks(face)), face.images_rgb, strict=True
    ):
        mask = warp_blend_mask(place, len(image), draw)
        rows, columns = np.nonzero(mask > 0.05)
        spare = 0.1 * len(image)
        assert box[0] - spare < columns.min() and columns.max() < box[2] + spare
        assert box[1] - spare < rows.min() and rows.max() < box[3] + spare


@FEW
@given(seeds)
def test_the_mask_follows_the_face(face: Crops, seed: int) -> None:
    draw, size = blend(seed), 277
    (box, marks), shift = (face.boxes_xyxy[0], face.landmarks[0]), np.float32([9, -6])
    assert marks is not None
    here = warp_blend_mask(from_landmarks(box, marks), size, draw)
    there = warp_blend_mask(from_landmarks(box + np.tile(shift, 2), marks + shift), size, draw)
    assert np.allclose(here[20:-20, 20:-20], there[14:-26, 29:-11], atol=0.02)


@FEW
@given(seeds)
def test_the_replaced_shares_are_those_of_the_changed_pixels(face: Crops, seed: int) -> None:
    draw = replace(blend(seed), scale=1.0, shift=(0.0, 0.0))
    shares = blended_shares(face, draw)
    weights = [
        region_weights(points, len(image), image.shape[:2])
        for image, points in zip(face.images_rgb, face.landmarks, strict=True)
    ]
    masks = [
        warp_blend_mask(place, len(image), draw)
        for image, place in zip(face.images_rgb, locate_faces(face), strict=True)
    ]
    expected = [
        (regions * mask).sum(axis=(1, 2)) for regions, mask in zip(weights, masks, strict=True)
    ]
    assert shares == pytest.approx(np.mean(expected, axis=0), abs=0.03)
    by_name = dict(zip(REGIONS, shares, strict=True))
    assert by_name["nose"] > 0.9 * draw.mask.max() and by_name["background"] < by_name["skin"]
