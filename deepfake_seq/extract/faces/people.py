"""Who is in the sampled frames, and in the frames beside those that miss somebody."""

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
"""Gives the frames at some positions of the video, or None where they cannot be had."""


@dataclass(frozen=True, eq=False)
class Person:
    """One person's faces, in order of time.

    Attributes:
        images_rgb: (H, W, 3) each; the frames that show the face.
        faces: One in each of them.
        frame_index: int64 (K,).
        pts_seconds: float64 (K,).
        filled: How many of the frames were taken in the place of a sampled one.
    """

    images_rgb: list[npt.NDArray[np.uint8]]
    faces: list[Face]
    frame_index: npt.NDArray[np.int64]
    pts_seconds: npt.NDArray[np.float64]
    filled: int

    def __len__(self) -> int:
        return len(self.faces)

    @classmethod
    def nobody(cls) -> Person:
        """The person whom no frame shows."""
        return cls([], [], np.zeros(0, dtype=np.int64), np.zeros(0), 0)


def find_people(
    frames: SampledFrames,
    detector: FaceDetector,
    config: FaceConfig,
    available: int,
    frames_at: FramesAt,
) -> list[Person]:
    """The people of a video, as far as `config.people` asks for them.

    Where a sampled frame does not show somebody, frames beside it are looked at; the nearest one
    that does takes its place.

    Args:
        frames: The sampled frames.
        detector: Finds faces.
        config: The working size, and whether one person is wanted or all.
        available: How many frames the video has.
        frames_at: Decodes further frames.

    Returns:
        The longest, largest track first; empty where nobody is seen.
    """
    everyone = config.people == "all"
    seen = _Seen.in_sampled(frames, detect_scaled(detector, frames.images_rgb, config.short_side))
    tracks = seen.tracks(everyone)
    missed = _missed(tracks, len(frames))
    beside = neighbours(frames.frame_index, missed, available)
    slots = {int(at): int(slot) for slot, near in zip(missed, beside, strict=True) for at in near}
    more = frames_at(sorted(slots)) if slots else None
    if more is not None:
        found = detect_scaled(detector, more.images_rgb, config.short_side)
        seen = seen.joined_by(more, found, slots)
        tracks = seen.tracks(everyone)
    return [seen.person(track) for track in tracks]


def _missed(tracks: list[FaceTrack], frames: int) -> npt.NDArray[np.int64]:
    """The sampled frames that do not show everybody; all of them where nobody is seen."""
    everywhere = set(range(frames)) if tracks else set()
    for track in tracks:
        everywhere &= track.faces.keys()
    return np.array(sorted(set(range(frames)) - everywhere), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _Seen:
    """Frames that were looked at, in order of time.

    Attributes:
        images_rgb: (H, W, 3) each.
        frame_index: (N,).
        pts_seconds: (N,).
        faces: What was found in each frame.
        slots: (N,); the sampled frame that each one is, or stands beside.
        sampled: bool (N,); whether a frame is the sampled one itself.
    """

    images_rgb: list[npt.NDArray[np.uint8]]
    frame_index: npt.NDArray[np.int64]
    pts_seconds: npt.NDArray[np.float64]
    faces: list[list[Face]]
    slots: npt.NDArray[np.int64]
    sampled: npt.NDArray[np.bool_]

    @classmethod
    def in_sampled(cls, frames: SampledFrames, faces: list[list[Face]]) -> _Seen:
        count = len(frames)
        return cls(
            list(frames.images_rgb),
            frames.frame_index,
            frames.pts_seconds,
            faces,
            np.arange(count),
            np.ones(count, dtype=bool),
        )

    def joined_by(
        self, more: SampledFrames, faces: list[list[Face]], slots: dict[int, int]
    ) -> _Seen:
        """With further frames, of which `slots` tells which sampled one they stand beside."""
        # A frame that could not be decoded comes as the next one, which nobody asked for.
        rows = [row for row, at in enumerate(more.frame_index) if int(at) in slots]
        index = np.append(self.frame_index, more.frame_index[rows])
        index, order = np.unique(index, return_index=True)
        images = self.images_rgb + [more.images_rgb[row] for row in rows]
        found = self.faces + [faces[row] for row in rows]
        beside = np.array([slots[int(more.frame_index[row])] for row in rows], dtype=np.int64)
        return _Seen(
            [images[at] for at in order],
            index,
            np.append(self.pts_seconds, more.pts_seconds[rows])[order],
            [found[at] for at in order],
            np.append(self.slots, beside)[order],
            np.append(self.sampled, np.zeros(len(rows), dtype=bool))[order],
        )

    def tracks(self, everyone: bool) -> list[FaceTrack]:
        return select_people(track_faces(self.faces, find_cuts(self.images_rgb)), everyone)

    def person(self, track: FaceTrack) -> Person:
        """For each sampled frame, the face in it or in the nearest frame beside it."""
        own = dict(zip(self.slots[self.sampled], self.frame_index[self.sampled], strict=True))
        chosen: dict[int, int] = {}
        for row in sorted(
            track.faces, key=lambda row: abs(int(self.frame_index[row] - own[self.slots[row]]))
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
