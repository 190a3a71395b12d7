"""The six regions of a face: weights that follow the face, whatever the landmarks are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfake_seq.face_regions import (
    FIXED_LANDMARKS,
    REGIONS,
    are_usable,
    mask_shares,
    mean_shares,
    region_shares,
    region_weights,
)

SIDE = 200.0
FRONTAL = (FIXED_LANDMARKS * SIDE).astype(np.float32)
PROFILE = np.float32([[140, 80], [146, 80], [175, 112], [136, 140], [143, 140]])
"""A face that looks to the right of the image."""

Landmarks = npt.NDArray[np.float32]

cells_drawn = st.tuples(st.integers(1, 35), st.integers(1, 35))


@st.composite
def landmarks_drawn(draw: st.DrawFn) -> Landmarks:
    """Draw five points, of a possible face or anywhere, also far outside of the crop."""
    anywhere = st.floats(-1e4, 1e4, width=32)
    flat = draw(st.lists(anywhere, min_size=10, max_size=10))
    if draw(st.booleans()):
        turn, scale = draw(st.floats(0, 2 * np.pi)), draw(st.floats(0.3, 2))
        shift = np.array([draw(st.floats(-1, 1)), draw(st.floats(-1, 1))]) * SIDE
        noise = np.reshape(flat, (5, 2)) * 1e-3
        return placed(FRONTAL + noise, turn, scale, shift)
    return np.float32(flat).reshape(5, 2)


def placed(points: npt.ArrayLike, turn: float, scale: float, shift: npt.ArrayLike) -> Landmarks:
    """Return points turned about the middle of the crop, scaled and shifted."""
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = scale * np.array([[cos, -sin], [sin, cos]])
    return np.float32((np.asarray(points) - SIDE / 2) @ matrix.T + SIDE / 2 + np.asarray(shift))


def centroids(
    landmarks: Landmarks, side: float = SIDE, cells: int = 120
) -> npt.NDArray[np.float64]:
    """Return the middle of each region in pixels, (6, 2)."""
    weights = region_weights(landmarks, side, (cells, cells)).astype(np.float64)
    y, x = (np.indices((cells, cells)) + 0.5) * side / cells
    return np.stack([(weights * x).sum((1, 2)), (weights * y).sum((1, 2))], axis=1)


@given(landmarks_drawn(), cells_drawn)
def test_every_region_is_an_average_over_cells_wherever_the_landmarks_are(
    landmarks: Landmarks, cells: tuple[int, int]
) -> None:
    weights = region_weights(landmarks, SIDE, cells)
    assert weights.dtype == np.float32 and weights.shape == (len(REGIONS), *cells)
    assert np.isfinite(weights).all() and weights.min() >= 0
    np.testing.assert_allclose(weights.sum((1, 2)), 1, atol=1e-5)


@given(landmarks_drawn(), cells_drawn)
def test_every_cell_is_shared_out_completely(landmarks: Landmarks, cells: tuple[int, int]) -> None:
    shares = region_shares(landmarks, SIDE, cells)
    assert shares.min() >= 0
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)


@given(landmarks_drawn(), cells_drawn, st.floats(0.05, 20))
def test_weights_do_not_depend_on_the_resolution_of_the_crop(
    landmarks: Landmarks, cells: tuple[int, int], scale: float
) -> None:
    weights = region_weights(landmarks.astype(np.float64), SIDE, cells)
    scaled = region_weights(landmarks.astype(np.float64) * scale, SIDE * scale, cells)
    if are_usable(landmarks, SIDE) == are_usable(
        landmarks.astype(np.float64) * scale, SIDE * scale
    ):
        np.testing.assert_allclose(scaled, weights, atol=1e-4)


@given(landmarks_drawn(), cells_drawn)
def test_weights_turn_with_the_picture(landmarks: Landmarks, cells: tuple[int, int]) -> None:
    turned = np.stack([landmarks[:, 1], np.float32(SIDE) - landmarks[:, 0]], axis=1)
    weights = region_weights(landmarks, SIDE, cells)
    if are_usable(landmarks, SIDE):
        expected = np.rot90(weights, axes=(1, 2))
        np.testing.assert_allclose(region_weights(turned, SIDE, cells[::-1]), expected, atol=5e-3)


@given(landmarks_drawn(), cells_drawn)
def test_weights_are_mirrored_with_the_picture(
    landmarks: Landmarks, cells: tuple[int, int]
) -> None:
    mirrored = landmarks[[1, 0, 2, 4, 3]].copy()  # left and right are those of the image
    mirrored[:, 0] = np.float32(SIDE) - mirrored[:, 0]
    weights = region_weights(mirrored, SIDE, cells)
    expected = region_weights(landmarks, SIDE, cells)[:, :, ::-1]
    np.testing.assert_allclose(weights, expected, atol=5e-3)


@pytest.mark.parametrize("face", [FRONTAL, PROFILE], ids=["frontal", "profile"])
@pytest.mark.parametrize("turn", [-0.5, 0.3])
def test_regions_follow_a_face_that_is_turned_and_moved(face: Landmarks, turn: float) -> None:
    shift = [4.0, -6.0]
    found = centroids(placed(face, turn, 0.7, shift))[:4]
    expected = placed(centroids(placed(face, 0, 0.7, [0, 0]))[:4], turn, 1.0, shift)
    np.testing.assert_allclose(found, expected, atol=1.0)


def test_eyes_nose_and_mouth_are_where_the_landmarks_are() -> None:
    eyes, nose, mouth, *_ = centroids(FRONTAL)
    np.testing.assert_allclose(eyes, FRONTAL[:2].mean(axis=0), atol=1)
    np.testing.assert_allclose(mouth, FRONTAL[3:].mean(axis=0), atol=1)
    assert FRONTAL[0, 1] < nose[1] < FRONTAL[2, 1]


def test_a_row_of_cells_runs_from_the_background_over_ring_and_skin_to_the_nose() -> None:
    shares = region_shares(FRONTAL, SIDE, (200, 200))
    crossed = [REGIONS[number] for number in shares[:, 112, :101].argmax(axis=0)]
    assert list(dict.fromkeys(crossed)) == ["background", "ring", "skin", "nose"]


def test_the_face_of_a_profile_is_behind_its_nose() -> None:
    skin = centroids(PROFILE)[REGIONS.index("skin")]
    assert skin[0] < PROFILE[2, 0] - 40
    mirrored = PROFILE * np.float32([-1, 1]) + np.float32([SIDE, 0])
    assert centroids(mirrored)[REGIONS.index("skin")][0] > mirrored[2, 0] + 40


@pytest.mark.parametrize(
    "landmarks",
    [
        None,
        np.zeros((5, 2), np.float32),
        np.full((5, 2), np.nan, np.float32),
        np.float32([[np.inf, 0], *FRONTAL[1:]]),
        FRONTAL * np.float32(0.01),
    ],
    ids=["none", "zeros", "nan", "infinite", "a point"],
)
def test_unusable_landmarks_give_the_fixed_layout_and_the_caller_is_told(
    landmarks: Landmarks | None,
) -> None:
    assert not are_usable(landmarks, SIDE)
    fixed = region_weights(FIXED_LANDMARKS * SIDE, SIDE, (35, 35))
    np.testing.assert_array_equal(region_weights(landmarks, SIDE, (35, 35)), fixed)
    assert are_usable(FRONTAL, SIDE)


def test_a_small_move_of_the_landmarks_is_a_small_change_of_the_weights() -> None:
    before = region_weights(FRONTAL, SIDE, (35, 35))
    after = region_weights(FRONTAL + np.float32(0.2), SIDE, (35, 35))  # a thirtieth of a cell
    assert 0 < np.abs(after - before).sum((1, 2)).max() < 0.06


@pytest.mark.parametrize("side", [20, 64, 301])
def test_a_mask_covers_the_share_of_each_region_that_it_hides(side: int) -> None:
    landmarks = FIXED_LANDMARKS * side
    assert mask_shares(np.ones((side, side)), landmarks) == pytest.approx([1.0] * 6)
    assert not mask_shares(np.zeros((side, side), dtype=bool), landmarks).any()
    lower = np.zeros((side, side), dtype=bool)
    lower[int(0.62 * side) :] = True
    shares = dict(zip(REGIONS, mask_shares(lower, None), strict=True))
    assert shares["mouth"] > 0.6 and shares["eyes"] < 0.05
    assert mask_shares(0.5 * lower, None) == pytest.approx(0.5 * mask_shares(lower, None))


def test_shares_are_averaged_over_the_frames() -> None:
    assert mean_shares([np.zeros(6), np.full(6, 0.123456)]) == [0.0617] * 6
