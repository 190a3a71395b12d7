"""Following one person."""

from __future__ import annotations

import numpy as np
import pytest

from deepfake_seq.extract.faces import Face, select_people
from deepfake_seq.extract.faces.tracking import track_faces


def face(x: float, y: float, side: float) -> Face:
    """A square face with its centre at (x, y)."""
    half = side / 2
    return Face(np.array([x - half, y - half, x + half, y + half], dtype=np.float32), 0.9)


def sides(faces: dict[int, Face]) -> set[int]:
    return {round(found.area**0.5) for found in faces.values()}


def test_somebody_who_moves_is_one_track() -> None:
    tracks = track_faces([[face(100 + 20 * step, 100, 80)] for step in range(16)])
    assert [sorted(track.faces) for track in tracks] == [list(range(16))]


def test_two_people_are_two_tracks_whatever_order_they_are_found_in() -> None:
    frames = [[face(100, 100, 80), face(400, 100, 60)] for _ in range(8)]
    frames[3].reverse()
    tracks = track_faces(frames)
    assert [sides(track.faces) for track in tracks] == [{80}, {60}]
    assert [len(track.faces) for track in tracks] == [8, 8]


def test_the_larger_of_two_people_is_the_subject() -> None:
    frames = [[face(400, 100, 50), face(100, 100, 90)] for _ in range(16)]
    (track,) = select_people(track_faces(frames), everyone=False)
    assert sides(track.faces) == {90}
    assert len(track.faces) == 16


def test_somebody_who_stays_outweighs_somebody_larger_who_passes() -> None:
    frames = [[face(100, 100, 60)] for _ in range(16)]
    frames[5].append(face(400, 100, 140))
    (track,) = select_people(track_faces(frames), everyone=False)
    assert sides(track.faces) == {60}


def test_a_missing_face_leaves_a_gap_in_the_same_track() -> None:
    frames = [[face(100, 100, 80)] if step not in (3, 4, 9) else [] for step in range(12)]
    (track,) = track_faces(frames)
    assert sorted(track.faces) == [0, 1, 2, 5, 6, 7, 8, 10, 11]


def test_somebody_who_enters_later_has_a_track_from_there() -> None:
    frames = [[face(100, 100, 80)] for _ in range(10)]
    for late in frames[6:]:
        late.insert(0, face(400, 100, 80))
    first, second = track_faces(frames)
    assert sorted(first.faces) == list(range(10))
    assert sorted(second.faces) == [6, 7, 8, 9]


def test_a_much_larger_face_in_the_same_place_is_somebody_else() -> None:
    assert len(track_faces([[face(100, 100, 30)], [face(100, 100, 120)]])) == 2


def test_a_face_belongs_to_the_nearer_of_two_people() -> None:
    tracks = track_faces([[face(100, 100, 80), face(150, 100, 80)], [face(145, 100, 80)]])
    assert [sorted(track.faces) for track in tracks] == [[0], [0, 1]]


@pytest.mark.parametrize("frames", [[], [[]], [[], [], []]])
def test_no_face_is_nobody(frames: list[list[Face]]) -> None:
    for everyone in (False, True):
        assert select_people(track_faces(frames), everyone) == []


def test_everybody_comes_in_order_of_weight_without_what_was_seen_once() -> None:
    frames = [[face(100, 100, 60), face(400, 100, 90)] for _ in range(8)]
    frames[3].append(face(700, 100, 50))
    tracks = select_people(track_faces(frames), everyone=True)
    assert [sides(track.faces) for track in tracks] == [{90}, {60}]


def test_somebody_seen_once_counts_where_there_is_nobody_else() -> None:
    assert len(select_people(track_faces([[face(100, 100, 60)], []]), everyone=True)) == 1


def test_nobody_is_followed_across_a_cut() -> None:
    frames = [[face(100, 100, 80)] for _ in range(10)]
    tracks = track_faces(frames, cuts={4, 7})
    assert [sorted(track.faces) for track in tracks] == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_somebody_who_leaves_and_comes_back_is_the_same() -> None:
    frames = [[face(100, 100, 80)] if step < 3 or step > 6 else [] for step in range(10)]
    assert len(track_faces(frames)) == 1
