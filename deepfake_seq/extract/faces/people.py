"""The people in a video: found in the sampled frames, then followed through more frames.

Neighbouring frames replace sampled frames that miss a person. A person whom only few sampled frames
show, because the video has cuts, is sampled again within the time that shows the person.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import FaceConfig
from deepfake_seq.extract.faces import (
    Face,
    FaceDetector,
    FaceTrack,
    cut_square,
    detect_scaled,
    find_cuts,
    is_same_person,
    select_people,
    track_faces,
)
from deepfake_seq.extract.faces.windowed_detection import FIRST_SHARE, detect_in_windows
from deepfake_seq.extract.video.decode import SampledFrames
from deepfake_seq.extract.video.sampling import neighbours, uniform

FramesAt = Callable[[Sequence[int]], SampledFrames | None]
"""Decodes the frames at some positions of the video; None if that fails."""

_Detect = Callable[[Sequence[npt.NDArray[np.uint8]]], list[list[Face]]]

_MAX_BYTES = 1 << 29
"""Maximum size in bytes of the frames that are decoded at once to sample people again."""


@dataclass(frozen=True, eq=False)
class Person:
    """The faces of one person, in chronological order.

    Attributes:
        squares_rgb: uint8 (side, side, 3) each; the crops of the K frames that show the person.
        faces: The person's face in each of these frames, in pixels of the frame.
        frame_index: int64 (K,); frame numbers.
        pts_seconds: float64 (K,); presentation times.
        frame_size: int32 (K, 2); width and height of each frame in pixels.
        filled: Number of frames that are neighbours of a sampled frame instead of sampled ones.
        shots: Number of shots in the searched frames; a person is in one of them.
        resampled: Whether frames were sampled again within the time that shows the person.
    """

    squares_rgb: list[npt.NDArray[np.uint8]]
    faces: list[Face]
    frame_index: npt.NDArray[np.int64]
    pts_seconds: npt.NDArray[np.float64]
    frame_size: npt.NDArray[np.int32]
    filled: int
    shots: int = 1
    resampled: bool = False

    def __len__(self) -> int:
        return len(self.faces)

    @classmethod
    def empty(cls) -> Person:
        """Return a person without any face."""
        none = np.zeros(0, dtype=np.int64)
        return cls([], [], none, np.zeros(0), np.zeros((0, 2), dtype=np.int32), 0)


def find_people(
    frames: SampledFrames,
    detector: FaceDetector,
    config: FaceConfig,
    timeline_seconds: npt.NDArray[np.float64],
    frames_at: FramesAt,
    bounds: tuple[int, int] | None = None,
) -> list[Person]:
    """Find the people in a video: the main person or, if `config.people` is "all", everyone.

    A person is tracked within one shot; faces in another shot count as other people. If a
    sampled frame does not show a person, its neighbours are searched; the nearest one that shows
    the person replaces it. If fewer than half of the frames then show the person, as many frames
    are sampled again between the first and the last one that does.

    Args:
        frames: The sampled frames.
        detector: Finds faces.
        config: The detection size, the margin of the crops, and which people to find.
        timeline_seconds: float64 (N,); presentation times of all frames of the video.
        frames_at: Decodes further frames.
        bounds: First frame number that may be used, and the number after the last one; None for
            the whole video.

    Returns:
        The people, most prominent first; empty if no face is found.
    """
    first, last = bounds or (0, len(timeline_seconds))
    detect = _search(detector, config)
    all_people = config.people == "all"
    searched = _SearchedFrames.of_sampled(frames, detect(frames.images_rgb))
    tracks = searched.people(all_people)
    missed = searched.missed(tracks)
    nearby = neighbours(frames.frame_index - first, missed, last - first)
    slots = {
        int(at) + first: int(slot) for slot, near in zip(missed, nearby, strict=True) for at in near
    }
    more = frames_at(sorted(slots)) if slots else None
    if more is not None:
        searched = searched.joined_by(more, detect(more.images_rgb), slots)
        tracks = searched.people(all_people)
    people = [searched.person(track, config.margin) for track in tracks]
    wanted = {}
    for number, (track, person) in enumerate(zip(tracks, people, strict=True)):
        if 2 * len(person) < len(frames):
            low, high = searched.span(track, (first, last), len(frames))
            positions = low + _uniform(timeline_seconds[low:high], len(frames))
            if len(positions) > len(person):
                wanted[number] = positions
    for number, person in _sampled_again(people, wanted, frames, detect, config, frames_at):
        people[number] = person
    return [
        person
        for track, person in zip(tracks, people, strict=True)
        if len(track.faces) > 1 or 2 * len(person) >= len(frames) or len(tracks) == 1
    ]


def _search(detector: FaceDetector, config: FaceConfig) -> _Detect:
    """Return the function that finds the faces in images."""
    if not config.uses_windows:
        return partial(detect_scaled, detector, short_side=config.short_side)
    share = 1 if config.people == "all" else FIRST_SHARE
    return partial(
        detect_in_windows,
        detector,
        short_side=config.short_side,
        first_short_side=round(share * config.short_side),
    )


def _uniform(seconds: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    """Choose `count` of the frames at some presentation times, evenly over time."""
    typical = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0
    return uniform(seconds, float(seconds[-1]) + typical, count)


def _sampled_again(
    people: Sequence[Person],
    wanted: dict[int, npt.NDArray[np.int64]],
    frames: SampledFrames,
    detect: _Detect,
    config: FaceConfig,
    frames_at: FramesAt,
) -> Iterator[tuple[int, Person]]:
    """Look for people in other frames; yield those whom more of these frames show.

    Args:
        people: The people.
        wanted: Frame numbers to search, by position in `people`.
        frames: The sampled frames.
        detect: Finds faces.
        config: The margin of the crops.
        frames_at: Decodes further frames.
    """
    max_frames = max(_MAX_BYTES // frames.images_rgb[0].nbytes, 1)
    while wanted:
        positions: set[int] = set()
        batch: dict[int, set[int]] = {}
        for number in list(wanted):
            new = positions.union(wanted[number].tolist())
            if batch and len(new) > max_frames:
                break
            positions, batch[number] = new, set(wanted.pop(number).tolist())
        more = frames_at(sorted(positions))
        if more is None:
            continue
        faces = detect(more.images_rgb)
        for number, within in batch.items():
            rows = [row for row, at in enumerate(more.frame_index) if int(at) in within]
            searched = _SearchedFrames.of_sampled(
                SampledFrames(
                    [more.images_rgb[row] for row in rows],
                    more.frame_index[rows],
                    more.pts_seconds[rows],
                ),
                [faces[row] for row in rows],
            )
            track = searched.track_of(people[number])
            if track is not None and len(track.faces) > len(people[number]):
                person = searched.person(track, config.margin)
                yield number, replace(person, shots=people[number].shots, resampled=True)


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
        cuts: The frames that begin a new shot.
    """

    images_rgb: list[npt.NDArray[np.uint8]]
    frame_index: npt.NDArray[np.int64]
    pts_seconds: npt.NDArray[np.float64]
    faces: list[list[Face]]
    slots: npt.NDArray[np.int64]
    sampled: npt.NDArray[np.bool_]
    cuts: frozenset[int]

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
            find_cuts(frames.images_rgb),
        )

    def joined_by(
        self, more: SampledFrames, faces: list[list[Face]], slots: dict[int, int]
    ) -> _SearchedFrames:
        """Return these frames and more; `slots` maps frame numbers to sampled frames."""
        # Instead of a frame that cannot be decoded, the decoder returns the next one: drop it.
        rows = [row for row, at in enumerate(more.frame_index) if int(at) in slots]
        index = np.append(self.frame_index, more.frame_index[rows])
        index, order = np.unique(index, return_index=True)
        unordered = self.images_rgb + [more.images_rgb[row] for row in rows]
        images = [unordered[at] for at in order]
        all_faces = self.faces + [faces[row] for row in rows]
        more_slots = np.array([slots[int(more.frame_index[row])] for row in rows], dtype=np.int64)
        return _SearchedFrames(
            images,
            index,
            np.append(self.pts_seconds, more.pts_seconds[rows])[order],
            [all_faces[at] for at in order],
            np.append(self.slots, more_slots)[order],
            np.append(self.sampled, np.zeros(len(rows), dtype=bool))[order],
            find_cuts(images),
        )

    def people(self, all_people: bool) -> list[FaceTrack]:
        """Return the tracks of the people to extract, most prominent first."""
        return select_people(track_faces(self.faces, self.cuts), all_people, self.cuts)

    def missed(self, tracks: Sequence[FaceTrack]) -> npt.NDArray[np.int64]:
        """Return the frames whose neighbours should be searched; all frames if there is no person.

        These are the frames in whose shot there is a person that they do not show, and the frames
        on both sides of a cut, because frames in between may show a gradual change instead.
        """
        if not tracks:
            return np.arange(len(self.faces))
        starts = sorted(self.cuts)
        shots = [bisect_right(starts, frame) for frame in range(len(self.faces))]
        missed = {frame for cut in starts for frame in (cut - 1, cut)}
        missed |= {
            frame
            for track in tracks
            for frame, shot in enumerate(shots)
            if shot == shots[min(track.faces)] and frame not in track.faces
        }
        return np.array(sorted(missed), dtype=np.int64)

    def track_of(self, person: Person) -> FaceTrack | None:
        """Return the longest track that continues a person found in other frames, or None."""
        tracks = [
            track
            for track in track_faces(self.faces, self.cuts)
            if any(
                is_same_person(track.faces[row], face)
                for face, at in zip(person.faces, person.frame_index, strict=True)
                for row in [min(track.faces, key=lambda row: abs(int(self.frame_index[row] - at)))]
            )
        ]
        return max(tracks, key=lambda track: len(track.faces), default=None)

    def span(self, track: FaceTrack, bounds: tuple[int, int], count: int) -> tuple[int, int]:
        """Return the first frame number that shows a person, and the number after the last one.

        If there are fewer than `count` frames between them, the span extends halfway to the nearest
        searched frames that do not show the person.

        Args:
            track: The person's faces in these frames.
            bounds: First frame number that may be used, and the number after the last one.
            count: Number of frames to be sampled.
        """
        low, high = min(track.faces), max(track.faces)
        first, last = int(self.frame_index[low]), int(self.frame_index[high])
        if last - first + 1 < count:
            after = high + 1
            first = (int(self.frame_index[low - 1]) + first) // 2 + 1 if low else bounds[0]
            inside = after < len(self.frame_index)
            last = (last + int(self.frame_index[after])) // 2 if inside else bounds[1] - 1
        return first, last + 1

    def person(self, track: FaceTrack, margin: float) -> Person:
        """Take for each sampled frame the face in it, or in its nearest neighbour with a face."""
        wanted = dict(zip(self.slots[self.sampled], self.frame_index[self.sampled], strict=True))
        chosen: dict[int, int] = {}
        for row in sorted(
            track.faces, key=lambda row: abs(int(self.frame_index[row] - wanted[self.slots[row]]))
        ):
            chosen.setdefault(int(self.slots[row]), row)
        rows = sorted(chosen.values())
        faces = [track.faces[row] for row in rows]
        # Copied, so that the frames need not stay in memory.
        squares = [
            cut_square(self.images_rgb[row], face.box_xyxy, margin).copy()
            for row, face in zip(rows, faces, strict=True)
        ]
        sizes = [self.images_rgb[row].shape[1::-1] for row in rows]
        return Person(
            squares,
            faces,
            self.frame_index[rows],
            self.pts_seconds[rows],
            np.array(sizes, dtype=np.int32).reshape(-1, 2),
            int((~self.sampled[rows]).sum()),
            len(self.cuts) + 1,
        )
