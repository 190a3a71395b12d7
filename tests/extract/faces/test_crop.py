"""Cropping of faces."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deepfake_seq.extract.faces.crop import cut_square, resize_square, square_around

Box = npt.NDArray[np.float32]
sides = st.integers(1, 300)
margins = st.floats(0.0, 2.0)


def box(*edges: float) -> Box:
    return np.array(edges, dtype=np.float32)


@st.composite
def boxes_in_images(draw: st.DrawFn) -> tuple[Box, int, int]:
    """A box in whole pixels inside an image, with the width and height of the image."""
    width, height = draw(sides), draw(sides)
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    right, bottom = draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
    return box(left, top, right, bottom), width, height


def test_the_side_is_the_longer_side_of_the_box() -> None:
    assert square_around(box(100, 100, 140, 180), 0.0, 500, 500) == (80, 100, 80)


def test_a_margin_of_half_enlarges_by_half_around_the_centre() -> None:
    assert square_around(box(100, 100, 180, 180), 0.5, 500, 500) == (80, 80, 120)


@pytest.mark.parametrize(
    ("corner", "expected"), [((0, 0), (0, 0)), ((160, 0), (140, 0)), ((160, 160), (140, 140))]
)
def test_a_square_at_the_border_is_moved_inside(
    corner: tuple[int, int], expected: tuple[int, int]
) -> None:
    left, top = corner
    square = square_around(box(left, top, left + 40, top + 40), 0.5, 200, 200)
    assert square == (*expected, 60)


@given(boxes_in_images(), margins)
def test_the_square_contains_the_box_if_the_image_is_large_enough(
    case: tuple[Box, int, int], margin: float
) -> None:
    (x1, y1, x2, y2), width, height = case[0].tolist(), case[1], case[2]
    left, top, side = square_around(case[0], margin, width, height)
    assume(side <= min(width, height))
    assert left <= x1 and top <= y1 and x2 <= left + side and y2 <= top + side
    assert 0 <= left <= width - side
    assert 0 <= top <= height - side


@given(boxes_in_images(), margins)
def test_a_square_larger_than_the_image_is_centred_on_it(
    case: tuple[Box, int, int], margin: float
) -> None:
    left, top, side = square_around(case[0], margin, *case[1:])
    for corner, length in zip((left, top), case[1:], strict=True):
        if side > length:
            assert abs(corner + side / 2 - length / 2) <= 0.5


@given(boxes_in_images(), margins, st.integers(1, 64))
def test_a_crop_is_square_and_uint8(case: tuple[Box, int, int], margin: float, size: int) -> None:
    crop = resize_square(
        cut_square(np.zeros((case[2], case[1], 3), np.uint8), case[0], margin), size
    )
    assert crop.shape == (size, size, 3)
    assert crop.dtype == np.uint8


@pytest.mark.parametrize("edges", [(-30, -20, 10, 15), (190, 190, 260, 240), (50, 50, 50, 50)])
def test_a_box_outside_the_image_or_without_area_gives_a_crop(
    edges: tuple[float, ...],
) -> None:
    image = np.full((200, 200, 3), 7, np.uint8)
    assert np.all(resize_square(cut_square(image, box(*edges), 0.3), 32) == 7)


def test_a_crop_has_the_pixels_of_the_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    crop = resize_square(cut_square(image, box(20, 10, 52, 42), 0.0), 32)
    np.testing.assert_array_equal(crop, image[10:42, 20:52])


def test_pixels_outside_the_image_repeat_its_border() -> None:
    image = np.random.default_rng(0).integers(0, 256, (10, 30, 3), dtype=np.uint8)
    crop = resize_square(cut_square(image, box(0, 0, 30, 10), 0.0), 30)
    np.testing.assert_array_equal(crop[10:20], image)
    np.testing.assert_array_equal(crop[:10], np.repeat(image[:1], 10, axis=0))
    np.testing.assert_array_equal(crop[20:], np.repeat(image[-1:], 10, axis=0))


def test_a_crop_keeps_the_channel_order() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[...] = (200, 100, 50)
    assert resize_square(cut_square(image, box(5, 5, 25, 25), 0.3), 8)[4, 4].tolist() == [
        200,
        100,
        50,
    ]
