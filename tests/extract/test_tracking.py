"""Following one person."""

from __future__ import annotations

import numpy as np
import pytest

from deepfake_seq.extract.faces import Face, subject
from deepfake_seq.extract.faces.tracking import follow


def face(x: float, y: float, side: float) -> Face:
    """A square face with its centre at (x, y)."""
    half = side / 2
    return Face(np.array([x - half, y - half, x + half, y + half], dtype=np.float32), 0.9)


def sides(faces: dict[int, Face]) -> set[int]:
    return {round(found.area**0.5) for found in faces.values()}


def test_somebody_who_moves_is_one_track() -> None:
    tracks = follow([[face(100 + 20 * step, 100, 80)] for step in range(16)])
    assert [sorted(track.faces) for track in tracks] == [list(range(16))]


def test_two_people_are_two_tracks_whatever_order_they_are_found_in() -> None:
    frames = [[face(100, 100, 80), face(400, 100, 60)] for _ in range(8)]
    frames[3].reverse()
    tracks = follow(frames)
    assert [sides(track.faces) for track in tracks] == [{80}, {60}]
    assert [len(track.faces) for track in tracks] == [8, 8]


def test_the_larger_of_two_people_is_the_subject() -> None:
    track = subject([[face(400, 100, 50), face(100, 100, 90)] for _ in range(16)])
    assert sides(track.faces) == {90}
    assert len(track.faces) == 16


def test_somebody_who_stays_outweighs_somebody_larger_who_passes() -> None:
    frames = [[face(100, 100, 60)] for _ in range(16)]
    frames[5].append(face(400, 100, 140))
    assert sides(subject(frames).faces) == {60}


def test_a_missing_face_leaves_a_gap_in_the_same_track() -> None:
    frames = [[face(100, 100, 80)] if step not in (3, 4, 9) else [] for step in range(12)]
    (track,) = follow(frames)
    assert sorted(track.faces) == [0, 1, 2, 5, 6, 7, 8, 10, 11]


def test_somebody_who_enters_later_has_a_track_from_there() -> None:
    frames = [[face(100, 100, 80)] for _ in range(10)]
    for late in frames[6:]:
        late.insert(0, face(400, 100, 80))
    first, second = follow(frames)
    assert sorted(first.faces) == list(range(10))
    assert sorted(second.faces) == [6, 7, 8, 9]


def test_a_much_larger_face_in_the_same_place_is_somebody_else() -> None:
    assert len(follow([[face(100, 100, 30)], [face(100, 100, 120)]])) == 2


def test_a_face_belongs_to_the_nearer_of_two_people() -> None:
    tracks = follow([[face(100, 100, 80), face(150, 100, 80)], [face(145, 100, 80)]])
    assert [sorted(track.faces) for track in tracks] == [[0], [0, 1]]


@pytest.mark.parametrize("frames", [[], [[]], [[], [], []]])
def test_no_face_gives_an_empty_track(frames: list[list[Face]]) -> None:
    assert subject(frames).faces == {}
