"""Following people over the sampled frames: pure functions of boxes."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from deepfake_seq.extract.faces.base import Face, FaceTrack

_NEAREST = 0.6
"""Two boxes further apart than this share of their size are two people."""

_MAX_GROWTH = 2.5
"""A face that is this much larger or smaller than it was is somebody else's."""


def track_faces(
    faces_by_frame: Sequence[Sequence[Face]], cuts: Collection[int] = ()
) -> list[FaceTrack]:
    """Join faces into one track for each person, nearest first.

    Sampled frames can be a second apart, so boxes of the same person need not overlap: they belong
    together when their centres are near in proportion to their size, and their sizes alike.

    Args:
        faces_by_frame: The faces of each frame, in order of time.
        cuts: The frames that begin a new shot. No track runs across one: who stands in the same
            place afterwards may be somebody else.
    """
    tracks: list[dict[int, Face]] = []
    shot = 0
    for frame, faces in enumerate(faces_by_frame):
        shot = frame if frame in cuts else shot
        pairs = sorted(
            (distance, track, number)
            for track, known in enumerate(tracks)
            for number, face in enumerate(faces)
            if min(known) >= shot and (distance := _distance(_latest(known), face)) < _NEAREST
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


def select_people(tracks: Sequence[FaceTrack], everyone: bool) -> list[FaceTrack]:
    """The people whom a video is about, the longest, largest track first.

    Args:
        tracks: What `track_faces` gives.
        everyone: Whether all are wanted, or the first alone. A face that was seen only once is
            nobody's, unless there is no other.
    """
    ordered = sorted(tracks, key=lambda track: -track.weight)
    if everyone:
        return [track for track in ordered if len(track.faces) > 1] or ordered[:1]
    return ordered[:1]


def _latest(track: dict[int, Face]) -> Face:
    return track[max(track)]


def _distance(one: Face, other: Face) -> float:
    """Between the centres, in units of the larger box's side; infinite where the sizes differ."""
    sides = sorted(math.sqrt(max(face.area, 1e-6)) for face in (one, other))
    if sides[1] > _MAX_GROWTH * sides[0]:
        return float("inf")
    centres = [(face.box_xyxy[:2] + face.box_xyxy[2:]) / 2 for face in (one, other)]
    return float(np.linalg.norm(centres[0] - centres[1])) / sides[1]
