"""What explanations need of a clip beside its records: kept while the clip is classified."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.faces import find_cuts
from deepfake_seq.extract.faces.people import Person
from deepfake_seq.extract.video.decode import DecodedVideo

_LONG_SIDE = 480
"""Long side in pixels to which frames are reduced."""

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SampledFrame:
    """A sampled frame, reduced.

    Attributes:
        index: Number of the frame in order of presentation.
        pts_seconds: Presentation time.
        image_rgb: uint8 (h, w, 3).
        size: Width and height of the frame in pixels before it was reduced.
    """

    index: int
    pts_seconds: float
    image_rgb: Image
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class CapturedClip:
    """The sampled frames of a clip, and the people in it.

    Attributes:
        frames: The sampled frames in order of presentation; empty if none could be decoded.
        shot_starts: Position in `frames` of the first frame of each shot but the first.
        people: The people found, most prominent first; one without faces if there are none.
        duration_seconds: End of the last frame; 0 if unknown.
    """

    frames: tuple[SampledFrame, ...]
    shot_starts: tuple[int, ...]
    people: tuple[Person, ...]
    duration_seconds: float


class Captures:
    """Keeps captured clips until they are taken; several threads may use it at once."""

    def __init__(self) -> None:
        self._clips: dict[str, CapturedClip] = {}
        self._lock = threading.Lock()

    def add(self, item: VideoItem, video: DecodedVideo, people: Sequence[Person]) -> None:
        """Keep what was found in a video; see `extract.records.from_videos.OnPeople`."""
        clip = captured(video, people)
        with self._lock:
            self._clips[item.video_id] = clip

    def take(self, video_id: str) -> CapturedClip:
        """Return a clip by the id of its item, and forget it."""
        with self._lock:
            return self._clips.pop(video_id)


def captured(video: DecodedVideo, people: Sequence[Person]) -> CapturedClip:
    """Return what is kept of a decoded clip."""
    images = video.frames.images_rgb if video.frames else []
    frames = tuple(
        SampledFrame(int(index), float(seconds), _reduced(image), image.shape[1::-1])
        for image, index, seconds in (
            zip(images, video.frames.frame_index, video.frames.pts_seconds, strict=True)
            if video.frames
            else ()
        )
    )
    duration = float(video.facts.get("duration_seconds", 0.0))
    return CapturedClip(frames, tuple(sorted(find_cuts(images))), tuple(people), duration)


def _reduced(image_rgb: Image) -> Image:
    height, width = image_rgb.shape[:2]
    scale = _LONG_SIDE / max(height, width)
    if scale >= 1:
        return image_rgb.copy()  # a view would keep the memory of all frames
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    reduced = cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA)
    return reduced.astype(np.uint8, copy=False)
