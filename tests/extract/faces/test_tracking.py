"""Tracking of people."""

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


def test_a_moving_person_is_one_track() -> None:
    tracks = track_faces([[face(100 + 20 * step, 100, 80)] for step in range(16)])
    assert [sorted(track.faces) for track in tracks] == [list(range(16))]


def test_two_people_are_two_tracks_in_any_order_of_detection() -> None:
    frames = [[face(100, 100, 80), face(400, 100, 60)] for _ in range(8)]
    frames[3].reverse()
    tracks = track_faces(frames)
    assert [sides(track.faces) for track in tracks] == [{80}, {60}]
    assert [len(track.faces) for track in tracks] == [8, 8]


def test_the_larger_of_two_people_is_the_main_person() -> None:
    frames = [[face(400, 100, 50), face(100, 100, 90)] for _ in range(16)]
    (track,) = select_people(track_faces(frames), all_people=False)
    assert sides(track.faces) == {90}
    assert len(track.faces) == 16


def test_a_long_track_outweighs_a_short_track_of_larger_faces() -> None:
    frames = [[face(100, 100, 60)] for _ in range(16)]
    frames[5].append(face(400, 100, 140))
    (track,) = select_people(track_faces(frames), all_people=False)
    assert sides(track.faces) == {60}


def test_a_missing_face_leaves_a_gap_in_the_same_track() -> None:
    frames = [[face(100, 100, 80)] if step not in (3, 4, 9) else [] for step in range(12)]
    (track,) = track_faces(frames)
    assert sorted(track.faces) == [0, 1, 2, 5, 6, 7, 8, 10, 11]


def test_a_person_who_enters_later_starts_a_track() -> None:
    frames = [[face(100, 100, 80)] for _ in range(10)]
    for late in frames[6:]:
        late.insert(0, face(400, 100, 80))
    first, second = track_faces(frames)
    assert sorted(first.faces) == list(range(10))
    assert sorted(second.faces) == [6, 7, 8, 9]


def test_a_much_larger_face_in_the_same_place_is_another_person() -> None:
    assert len(track_faces([[face(100, 100, 30)], [face(100, 100, 120)]])) == 2


def test_a_face_belongs_to_the_nearer_of_two_people() -> None:
    tracks = track_faces([[face(100, 100, 80), face(150, 100, 80)], [face(145, 100, 80)]])
    assert [sorted(track.faces) for track in tracks] == [[0], [0, 1]]


@pytest.mark.parametrize("frames", [[], [[]], [[], [], []]])
def test_no_faces_give_no_tracks(frames: list[list[Face]]) -> None:
    for all_people in (False, True):
        assert select_people(track_faces(frames), all_people) == []


def test_people_are_ordered_by_weight_without_single_detections() -> None:
    frames = [[face(100, 100, 60), face(400, 100, 90)] for _ in range(8)]
    frames[3].append(face(700, 100, 50))
    tracks = select_people(track_faces(frames), all_people=True)
    assert [sides(track.faces) for track in tracks] == [{90}, {60}]


def test_a_single_detection_counts_if_there_is_no_other_person() -> None:
    assert len(select_people(track_faces([[face(100, 100, 60)], []]), all_people=True)) == 1


def test_no_track_crosses_a_cut() -> None:
    frames = [[face(100, 100, 80)] for _ in range(10)]
    tracks = track_faces(frames, cuts={4, 7})
    assert [sorted(track.faces) for track in tracks] == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_a_person_who_leaves_and_returns_is_one_track() -> None:
    frames = [[face(100, 100, 80)] if step < 3 or step > 6 else [] for step in range(10)]
    assert len(track_faces(frames)) == 1
