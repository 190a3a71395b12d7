"""Where to look for faces: pure functions of boxes.

Whole frames are searched at intervals. Between them, a face is expected at its interpolated place,
and only a window around it is searched.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations, pairwise

import numpy as np

from deepfake_seq.extract.faces.base import Face
from deepfake_seq.extract.faces.tracking import track_faces

INTERVAL = 4
"""Largest distance between the frames of a shot that are searched whole, in sampled frames."""

WINDOW = 2.5
"""Side of a window, in sides of the expected face."""

SIZES = (96, 128, 192)
"""Sides to which windows are resized, in pixels."""

MAX_WHOLE_PIXELS = 100_000
"""Videos whose frames have no more pixels at the detection size are searched whole: windows would
save little."""

_MAX_SHIFT = 0.5
"""Largest distance between a face and the expected one, in sides of the expected one."""

_MAX_GROWTH = 1.5
"""Largest ratio between the sides of a face and of the expected one."""

_MAX_OVERLAP = 0.4
"""Largest intersection over union of the boxes of two people."""


def frames_to_search(count: int, cuts: Collection[int]) -> list[int]:
    """Return the frames to search whole: both ends of each shot, and some between them.

    Args:
        count: Number of frames.
        cuts: The frames that begin a new shot.

    Returns:
        Positions in ascending order, at most `INTERVAL` apart within a shot.
    """
    chosen = []
    for first, after in pairwise(sorted({0, count, *cuts})):
        length = after - 1 - first
        steps = -(-length // INTERVAL)
        chosen += [first + round(step * length / steps) for step in range(steps)]
        chosen.append(after - 1)
    return chosen


def expected_faces(found: Mapping[int, Sequence[Face]]) -> dict[int, list[Face] | None]:
    """Interpolate the faces in the frames between searched frames.

    Args:
        found: The faces in each searched frame, by its position.

    Returns:
        The expected faces in each frame between two searched ones. None if they are unknown: both
        searched frames show no face, or one of them shows a person who is not in the other.
    """
    expected: dict[int, list[Face] | None] = {}
    for before, after in pairwise(sorted(found)):
        tracks = [track.faces for track in track_faces([found[before], found[after]])]
        is_known = bool(tracks) and all(len(track) == 2 for track in tracks)
        for frame in range(before + 1, after):
            share = (frame - before) / (after - before)
            expected[frame] = (
                [_between(track[0], track[1], share) for track in tracks] if is_known else None
            )
    return expected


def window_size(side: float) -> int:
    """Return the side to which a window is resized, one of `SIZES`.

    Args:
        side: Side of the window in pixels of the frame.
    """
    # A window is enlarged a little rather than reduced a lot.
    return next((size for size in SIZES if side <= 1.25 * size), SIZES[-1])


def expected_face(faces: Sequence[Face], expected: Face) -> Face | None:
    """Return the face nearest to the expected one; None if none is near and of similar size."""
    near = [face for face in faces if _shift(face, expected) <= _MAX_SHIFT]
    similar = [face for face in near if _growth(face, expected) <= _MAX_GROWTH]
    return min(similar, key=lambda face: _shift(face, expected), default=None)


def are_distinct(faces: Sequence[Face]) -> bool:
    """Return whether no two faces overlap so much that they are the same person's."""
    return all(overlap(one, other) <= _MAX_OVERLAP for one, other in combinations(faces, 2))


def overlap(one: Face, other: Face) -> float:
    """Return the intersection over union of the boxes of two faces."""
    corner = np.maximum(one.box_xyxy[:2], other.box_xyxy[:2])
    width, height = np.maximum(np.minimum(one.box_xyxy[2:], other.box_xyxy[2:]) - corner, 0)
    common = float(width) * float(height)
    union = one.area + other.area - common
    return common / union if union else 0.0


def _between(one: Face, other: Face, share: float) -> Face:
    """Interpolate between two faces of a person; `share` is 0 for the first, 1 for the second."""
    box = (1 - share) * one.box_xyxy + share * other.box_xyxy
    return Face(box.astype(np.float32), min(one.score, other.score))


def _shift(face: Face, expected: Face) -> float:
    """Return the distance of the centres, in sides of the expected face."""
    centres = [(each.box_xyxy[:2] + each.box_xyxy[2:]) / 2 for each in (face, expected)]
    return float(np.linalg.norm(centres[0] - centres[1])) / max(math.sqrt(expected.area), 1e-6)


def _growth(face: Face, expected: Face) -> float:
    sides = sorted(math.sqrt(max(each.area, 1e-6)) for each in (face, expected))
    return sides[1] / sides[0]
