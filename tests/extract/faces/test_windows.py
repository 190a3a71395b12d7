"""Where to look for faces between frames that are searched whole."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfake_seq.extract.faces import Face
from deepfake_seq.extract.faces.windows import (
    INTERVAL,
    SIZES,
    are_distinct,
    expected_face,
    expected_faces,
    frames_to_search,
    overlap,
    window_size,
)

COUNTS = st.integers(1, 64)
PLACES = st.tuples(st.floats(50, 600), st.floats(50, 300), st.floats(20, 90))


def face(x: float, y: float, side: float) -> Face:
    """A square face with its centre at (x, y)."""
    half = side / 2
    return Face(np.array([x - half, y - half, x + half, y + half], dtype=np.float32), 0.9)


def centre(found: Face) -> list[float]:
    return ((found.box_xyxy[:2] + found.box_xyxy[2:]) / 2).tolist()


def test_sixteen_frames_of_one_shot_need_five_searches() -> None:
    assert frames_to_search(16, ()) == [0, 4, 8, 11, 15]


@given(COUNTS, st.sets(st.integers(1, 63)))
def test_both_ends_of_each_shot_and_every_fourth_frame_are_searched(
    count: int, cuts: set[int]
) -> None:
    cuts = {cut for cut in cuts if cut < count}
    chosen = frames_to_search(count, cuts)
    assert chosen == sorted(set(chosen))
    assert {0, count - 1} <= set(chosen) <= set(range(count))
    assert {each for cut in cuts for each in (cut - 1, cut)} <= set(chosen)
    assert all(after - before <= INTERVAL for before, after in pairwise(chosen))


@given(COUNTS)
def test_no_more_frames_than_necessary_are_searched(count: int) -> None:
    assert len(frames_to_search(count, ())) == -(-(count - 1) // INTERVAL) + 1


@given(PLACES, st.floats(-0.3, 0.3), st.floats(0.8, 1.25), st.integers(2, 8))
def test_a_face_is_expected_on_the_line_between_its_places(
    place: tuple[float, float, float], shift: float, growth: float, gap: int
) -> None:
    x, y, side = place
    expected = expected_faces(
        {3: [face(x, y, side)], 3 + gap: [face(x + shift * side, y, side * growth)]}
    )
    assert sorted(expected) == list(range(4, 3 + gap))
    for frame, faces in expected.items():
        assert faces is not None
        (found,) = faces
        share = (frame - 3) / gap
        assert centre(found) == pytest.approx([x + share * shift * side, y], abs=0.01)
        assert found.area**0.5 == pytest.approx(side * (1 + share * (growth - 1)), rel=1e-3)


@given(st.permutations(range(3)))
def test_each_of_several_people_is_expected_at_their_own_place(order: list[int]) -> None:
    people = [face(100, 100, 60), face(300, 120, 80), face(500, 100, 50)]
    faces = expected_faces({0: people, 2: [people[who] for who in order]})[1]
    assert faces is not None
    places = sorted(centre(found) for found in faces)
    np.testing.assert_allclose(places, [[100, 100], [300, 120], [500, 100]], atol=0.01)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], []),
        ([face(100, 100, 60)], []),
        ([], [face(100, 100, 60)]),
        ([face(100, 100, 60)], [face(400, 100, 60)]),
        ([face(100, 100, 60)], [face(100, 100, 200)]),
        ([face(100, 100, 60)], [face(100, 100, 60), face(400, 100, 60)]),
    ],
    ids=["nobody", "leaves", "enters", "jumps", "grows", "second person enters"],
)
def test_nothing_is_expected_between_frames_that_disagree(
    before: list[Face], after: list[Face]
) -> None:
    assert expected_faces({0: before, 3: after}) == {1: None, 2: None}


@given(st.floats(1, 5000))
def test_a_window_is_enlarged_by_at_most_a_quarter_unless_it_is_tiny(side: float) -> None:
    size = window_size(side)
    assert size in SIZES
    if side > SIZES[-1]:
        assert size == SIZES[-1]
    elif side > SIZES[0]:
        assert 0.8 <= size / side <= 1.5


def test_the_face_in_a_window_is_the_one_near_the_expected_place() -> None:
    expected = face(100, 100, 60)
    near, nearer = face(120, 100, 60), face(104, 100, 70)
    assert expected_face([near, nearer], expected) is nearer
    assert expected_face([face(140, 100, 60)], expected) is None  # far away
    assert expected_face([face(100, 100, 20), face(100, 100, 120)], expected) is None  # other sizes
    assert expected_face([], expected) is None


def test_faces_that_overlap_are_not_distinct() -> None:
    one, same, other = face(100, 100, 60), face(105, 100, 60), face(150, 100, 60)
    assert overlap(one, one) == 1
    assert overlap(one, other) == pytest.approx(10 / 110)
    assert overlap(one, face(400, 100, 60)) == 0
    assert are_distinct([one, other])
    assert are_distinct([])
    assert not are_distinct([one, other, same])
