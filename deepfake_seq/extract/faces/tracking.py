"""Tracking of people over the sampled frames: pure functions of boxes."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Sequence

import numpy as np

from deepfake_seq.extract.faces.base import Face, FaceTrack

_MAX_DISTANCE = 0.6
"""Largest distance between two faces of one person, as a fraction of the larger face's side."""

MAX_PEOPLE = 8
"""Maximum number of people of a video."""

_MAX_GROWTH = 2.5
"""Largest ratio between the sizes of two successive faces of one person."""


def track_faces(
    faces_by_frame: Sequence[Sequence[Face]], cuts: Collection[int] = ()
) -> list[FaceTrack]:
    """Join faces into one track per person, nearest faces first.

    Sampled frames can be a second apart, so boxes of the same person need not overlap: two faces
    belong together if the distance of their centres is small in proportion to their size, and their
    sizes are similar.

    Args:
        faces_by_frame: The faces of each frame, in chronological order.
        cuts: The frames that begin a new shot. Tracks end at a cut, because the face in the same
            place afterwards may be another person's.
    """
    tracks: list[dict[int, Face]] = []
    shot = 0
    for frame, faces in enumerate(faces_by_frame):
        shot = frame if frame in cuts else shot
        pairs = sorted(
            (distance, track, number)
            for track, tracked in enumerate(tracks)
            for number, face in enumerate(faces)
            if min(tracked) >= shot
            and (distance := _distance(_latest(tracked), face)) < _MAX_DISTANCE
        )
        taken_tracks: set[int] = set()
        taken_faces: set[int] = set()
        for _, track, number in pairs:
            if track not in taken_tracks and number not in taken_faces:
                tracks[track][frame] = faces[number]
                taken_tracks.add(track)
                taken_faces.add(number)
        tracks += [{frame: face} for number, face in enumerate(faces) if number not in taken_faces]
    return [FaceTrack(track) for track in tracks]


def select_people(
    tracks: Sequence[FaceTrack], all_people: bool, cuts: Collection[int] = ()
) -> list[FaceTrack]:
    """Return the most prominent tracks in descending order of prominence, or only the first one.

    Args:
        tracks: The tracks from `track_faces`.
        all_people: Whether to return up to `MAX_PEOPLE` people instead of the most prominent one.
            A track of a single face is left out, unless it is the most prominent one in its shot
            and no track of this shot has more faces.
        cuts: The frames that begin a new shot.
    """
    ordered = sorted(tracks, key=lambda track: -track.weight)
    if not all_people:
        return ordered[:1]
    starts = sorted(cuts)
    selected = []
    shots_with_people: set[int] = set()
    for track in sorted(ordered, key=lambda track: len(track.faces) == 1):
        shot = bisect_right(starts, min(track.faces))
        if len(track.faces) > 1 or shot not in shots_with_people:
            selected.append(track)
        shots_with_people.add(shot)
    return sorted(selected, key=lambda track: -track.weight)[:MAX_PEOPLE]


def is_same_person(one: Face, other: Face) -> bool:
    """Return whether two faces in frames of one shot are near enough to be the same person's."""
    return _distance(one, other) < _MAX_DISTANCE


def _latest(track: dict[int, Face]) -> Face:
    return track[max(track)]


def _distance(one: Face, other: Face) -> float:
    """Return the distance of the centres in sides of the larger box; infinite if sizes differ."""
    sides = sorted(math.sqrt(max(face.area, 1e-6)) for face in (one, other))
    if sides[1] > _MAX_GROWTH * sides[0]:
        return float("inf")
    centres = [(face.box_xyxy[:2] + face.box_xyxy[2:]) / 2 for face in (one, other)]
    return float(np.linalg.norm(centres[0] - centres[1])) / sides[1]
