"""The people in the sampled frames; neighbouring frames replace those that miss a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import FaceConfig
from deepfake_seq.extract.faces import (
    Face,
    FaceDetector,
    FaceTrack,
    detect_scaled,
    find_cuts,
    select_people,
    track_faces,
)
from deepfake_seq.extract.video.decode import SampledFrames
from deepfake_seq.extract.video.sampling import neighbours

FramesAt = Callable[[Sequence[int]], SampledFrames | None]
"""Decodes the frames at some positions of the video; None if that fails."""


@dataclass(frozen=True, eq=False)
class Person:
    """The faces of one person, in chronological order.

    Attributes:
        images_rgb: uint8 (H, W, 3) each; the K frames that show the person.
        faces: The person's face in each of these frames.
        frame_index: int64 (K,); frame numbers.
        pts_seconds: float64 (K,); presentation times.
        filled: Number of frames that are neighbours of a sampled frame instead of sampled ones.
    """

    images_rgb: list[npt.NDArray[np.uint8]]
    faces: list[Face]
    frame_index: npt.NDArray[np.int64]
    pts_seconds: npt.NDArray[np.float64]
    filled: int

    def __len__(self) -> int:
        return len(self.faces)

    @classmethod
    def empty(cls) -> Person:
        """Return a person without any face."""
        return cls([], [], np.zeros(0, dtype=np.int64), np.zeros(0), 0)


def find_people(
    frames: SampledFrames,
    detector: FaceDetector,
    config: FaceConfig,
    available: int,
    frames_at: FramesAt,
) -> list[Person]:
    """Find the people in a video: the main person or, if `config.people` is "all", everyone.

    If a sampled frame does not show a person, its neighbours are searched; the nearest one that
    shows the person replaces it.

    Args:
        frames: The sampled frames.
        detector: Finds faces.
        config: The detection size, and which people to find.
        available: Number of frames in the video.
        frames_at: Decodes further frames.

    Returns:
        The people, most prominent first; empty if no face is found.
    """
    all_people = config.people == "all"
    searched = _SearchedFrames.of_sampled(
        frames, detect_scaled(detector, frames.images_rgb, config.short_side)
    )
    tracks = searched.tracks(all_people)
    missed = _missed(tracks, len(frames))
    nearby = neighbours(frames.frame_index, missed, available)
    slots = {int(at): int(slot) for slot, near in zip(missed, nearby, strict=True) for at in near}
    more = frames_at(sorted(slots)) if slots else None
    if more is not None:
        faces = detect_scaled(detector, more.images_rgb, config.short_side)
        searched = searched.joined_by(more, faces, slots)
        tracks = searched.tracks(all_people)
    return [searched.person(track) for track in tracks]


def _missed(tracks: list[FaceTrack], frames: int) -> npt.NDArray[np.int64]:
    """Return the sampled frames that do not show every person; all frames if there is no person."""
    complete = set(range(frames)) if tracks else set()
    for track in tracks:
        complete &= track.faces.keys()
    return np.array(sorted(set(range(frames)) - complete), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _SearchedFrames:
    """Frames in which faces were searched, in chronological order.

    Attributes:
        images_rgb: uint8 (H, W, 3) each.
        frame_index: int64 (N,); frame numbers.
        pts_seconds: float64 (N,); presentation times.
        faces: The faces found in each frame.
        slots: int64 (N,); position of the sampled frame that each frame is, or is a neighbour of.
        sampled: bool (N,); whether each frame is a sampled one.
    """

    images_rgb: list[npt.NDArray[np.uint8]]
    frame_index: npt.NDArray[np.int64]
    pts_seconds: npt.NDArray[np.float64]
    faces: list[list[Face]]
    slots: npt.NDArray[np.int64]
    sampled: npt.NDArray[np.bool_]

    @classmethod
    def of_sampled(cls, frames: SampledFrames, faces: list[list[Face]]) -> _SearchedFrames:
        count = len(frames)
        return cls(
            frames.images_rgb,
            frames.frame_index,
            frames.pts_seconds,
            faces,
            np.arange(count),
            np.ones(count, dtype=bool),
        )

    def joined_by(
        self, more: SampledFrames, faces: list[list[Face]], slots: dict[int, int]
    ) -> _SearchedFrames:
        """Return these frames and more; `slots` maps frame numbers to sampled frames."""
        # Instead of a frame that cannot be decoded, the decoder returns the next one: drop it.
        rows = [row for row, at in enumerate(more.frame_index) if int(at) in slots]
        index = np.append(self.frame_index, more.frame_index[rows])
        index, order = np.unique(index, return_index=True)
        images = self.images_rgb + [more.images_rgb[row] for row in rows]
        all_faces = self.faces + [faces[row] for row in rows]
        more_slots = np.array([slots[int(more.frame_index[row])] for row in rows], dtype=np.int64)
        return _SearchedFrames(
            [images[at] for at in order],
            index,
            np.append(self.pts_seconds, more.pts_seconds[rows])[order],
            [all_faces[at] for at in order],
            np.append(self.slots, more_slots)[order],
            np.append(self.sampled, np.zeros(len(rows), dtype=bool))[order],
        )

    def tracks(self, all_people: bool) -> list[FaceTrack]:
        return select_people(track_faces(self.faces, find_cuts(self.images_rgb)), all_people)

    def person(self, track: FaceTrack) -> Person:
        """Take for each sampled frame the face in it, or in its nearest neighbour with a face."""
        wanted = dict(zip(self.slots[self.sampled], self.frame_index[self.sampled], strict=True))
        chosen: dict[int, int] = {}
        for row in sorted(
            track.faces, key=lambda row: abs(int(self.frame_index[row] - wanted[self.slots[row]]))
        ):
            chosen.setdefault(int(self.slots[row]), row)
        rows = sorted(chosen.values())
        return Person(
            [self.images_rgb[row] for row in rows],
            [track.faces[row] for row in rows],
            self.frame_index[rows],
            self.pts_seconds[rows],
            int((~self.sampled[rows]).sum()),
        )
