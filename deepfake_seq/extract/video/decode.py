"""Decode a file to a few upright RGB frames; runs in worker processes, with PyAV and NumPy only.

The time stamps of the packets are read first, without decoding, and decide which frames to keep;
one forward pass then decodes them. There is no seeking, and the frame count and duration in the
container's header are not trusted.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from deepfake_seq.config import LimitsConfig, SamplingConfig
from deepfake_seq.errors import VideoError
from deepfake_seq.extract.video import sampling
from deepfake_seq.extract.video.container import open_video
from deepfake_seq.extract.video.failures import is_transient, reason_of
from deepfake_seq.extract.video.timeline import Timeline, check_count, read_timeline
from deepfake_seq.store import SourceFile

LIMITS = LimitsConfig()
"""The default limits."""

Span = tuple[float, float]
"""Start and end of a part of a video in seconds of presentation time; the end is excluded."""


@dataclass(frozen=True, eq=False)
class SampledFrames:
    """Frames of one video in order of presentation.

    Attributes:
        images_rgb: T images, uint8 (H, W, 3) each, with the display rotation applied; the size may
            change within a video.
        frame_index: int64 (T,); frame numbers in order of presentation.
        pts_seconds: float64 (T,); presentation times.
    """

    images_rgb: list[npt.NDArray[np.uint8]]
    frame_index: npt.NDArray[np.int64]
    pts_seconds: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.frame_index)


@dataclass(frozen=True, eq=False)
class DecodedVideo:
    """The result of decoding one file.

    Attributes:
        frames: The sampled frames; None if none could be decoded.
        status: A key of `store.STATUSES`.
        reason: Why the status is not `ok`.
        source: The file that was read.
        facts: `width`, `height`, `fps`, `duration_seconds`, `codec`, `frames_total`.
        transient: Whether a failure was not caused by the file itself.
        timeline_seconds: float64 (N,); presentation times of all frames, relative to the first one;
            empty if they could not be read.
    """

    frames: SampledFrames | None
    status: str
    reason: str
    source: SourceFile
    facts: dict[str, Any] = field(default_factory=dict)
    transient: bool = False
    timeline_seconds: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def decode(
    path: Path, config: SamplingConfig, limits: LimitsConfig = LIMITS, span: Span | None = None
) -> DecodedVideo:
    """Decode and sample one file; a failure is reported as a status and a reason.

    Only one thread of a process may call this at a time: FFmpeg's log is captured for the whole
    process.

    Args:
        path: Path of the file.
        config: Which frames to decode.
        limits: Limits on the size of the file and its frames.
        span: Sample only the frames whose presentation times are in it; None for the whole video.
    """
    source = SourceFile(0, 0, "")
    try:
        source = identify(path, limits)
        if not source.size_bytes:
            raise VideoError("decode_error", "the file is empty")
        before = path.stat()
        video = _decode(path, config, limits, source, span)
        if _identity(path.stat()) != _identity(before) or before.st_mtime_ns != source.mtime_ns:
            raise VideoError("decode_error", "the file changed while it was read", transient=True)
        return video
    except VideoError as error:
        return DecodedVideo(None, error.status, str(error), source, transient=error.transient)
    except Exception as error:  # noqa: BLE001 - the boundary of one video
        transient = is_transient(error)
        return DecodedVideo(None, "decode_error", reason_of(error), source, transient=transient)


def frames_at(
    path: Path, positions: Sequence[int], limits: LimitsConfig = LIMITS
) -> SampledFrames | None:
    """Decode the frames at `positions` in order of presentation; None if that fails."""
    try:
        timeline = read_timeline(path, limits)
        images, read, _ = _collect(path, timeline, np.array(positions, dtype=np.int64), limits)
    except (VideoError, av.FFmpegError, OSError, MemoryError):
        return None
    return _sampled(images, read, timeline) if images else None


def identify(path: Path, limits: LimitsConfig = LIMITS) -> SourceFile:
    """Return the size, modification time and SHA-256 of a file.

    Raises:
        VideoError: It is not a regular file, or too large.
        OSError: It cannot be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise VideoError("rejected", "not a regular file")
    if status.st_size > limits.file_bytes:
        raise VideoError(
            "rejected",
            f"a file of {status.st_size / 1e9:.1f} GB exceeds the limit of "
            f"{limits.file_bytes / 1e9:.1f} GB",
        )
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return SourceFile(status.st_size, status.st_mtime_ns, digest)


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _decode(
    path: Path,
    config: SamplingConfig,
    limits: LimitsConfig,
    source: SourceFile,
    span: Span | None,
) -> DecodedVideo:
    timeline = read_timeline(path, limits)
    if not len(timeline):
        raise VideoError("decode_error", "the file has no video frames")
    chosen = _choose(timeline, config, span)
    only_keys = config.strategy == "keyframes"
    images, read, failure = _collect(path, timeline, chosen, limits, only_keys=only_keys)
    if not images:
        raise VideoError("decode_error", failure or "no frame could be decoded")
    if timeline.is_cut and not failure:
        failure = (
            f"the video ends after {timeline.end_seconds:.2f} of {timeline.claimed_seconds:.2f} s"
        )
    if timeline.has_lost_frames and not failure:
        failure = f"frames are missing: {timeline.complaint}"
    sampled = _sampled(images, read, timeline)
    status, reason = "ok", ""
    if failure or len(images) < len(chosen):
        status = "partial"
        reason = (
            f"{failure or 'the video ends early'}; "
            f"{len(images)} of {len(chosen)} sampled frames could be read"
        )
    elif len(images) < config.frames:
        kind = "key frames" if only_keys else "frames"
        where = "" if span is None else " from {:g} to {:g} s".format(*span)
        status, reason = "too_few_frames", f"the video has {len(chosen)} {kind}{where}"
    facts = {
        **timeline.facts,
        "width": images[0].shape[1],
        "height": images[0].shape[0],
        "duration_seconds": round(timeline.end_seconds, 6),
        "frames_total": len(timeline),
    }
    return DecodedVideo(sampled, status, reason, source, facts, timeline_seconds=timeline.seconds)


def _choose(timeline: Timeline, config: SamplingConfig, span: Span | None) -> npt.NDArray[np.int64]:
    """Return the positions of the frames to decode."""
    start, end = span or (0.0, timeline.end_seconds)
    first, last = np.searchsorted(timeline.seconds, (start, end))
    if first == last:
        raise VideoError("decode_error", f"the video has no frames from {start:g} to {end:g} s")
    part = slice(first, last)
    end = min(end, timeline.end_seconds)
    chosen = sampling.choose(
        config.strategy, timeline.seconds[part], timeline.is_key[part], end, config.frames
    )
    if not len(chosen):
        raise VideoError("decode_error", "the file has no key frame")
    chosen += first
    return chosen


def _sampled(
    images: list[npt.NDArray[np.uint8]], read: npt.NDArray[np.int64], timeline: Timeline
) -> SampledFrames:
    return SampledFrames(images, read, timeline.seconds[read])


def _collect(
    path: Path,
    timeline: Timeline,
    chosen: npt.NDArray[np.int64],
    limits: LimitsConfig,
    *,
    only_keys: bool = False,
) -> tuple[list[npt.NDArray[np.uint8]], npt.NDArray[np.int64], str]:
    """Decode the chosen frames; return upright RGB images, their positions, and the first error.

    A frame that cannot be decoded is replaced by the next one that can.
    """
    images: list[npt.NDArray[np.uint8]] = []
    times: list[int] = []
    failure = ""
    wanted = timeline.times[chosen]
    try:
        with open_video(path, limits) as (container, stream):
            if only_keys and not timeline.by_number:
                stream.codec_context.skip_frame = "NONKEY"
            for number, frame in enumerate(container.decode(stream)):
                check_count(number, limits)
                time = number if timeline.by_number else frame.pts
                if time is None or len(images) == len(wanted) or time < wanted[len(images)]:
                    continue  # read to the end: an error in the rest makes the file partial
                images.append(_upright(frame.to_ndarray(format="rgb24"), frame.rotation))
                times.append(time)
    except av.FFmpegError as error:
        if is_transient(error):
            raise
        failure = reason_of(error)
    last = len(timeline) - 1
    return images, np.minimum(np.searchsorted(timeline.times, times), last), failure


def _upright(image: npt.NDArray[np.uint8], rotation: int) -> npt.NDArray[np.uint8]:
    """Rotate an image by the display rotation, in degrees counterclockwise."""
    if rotation % 90 or abs(rotation) > 360:
        return image
    return np.ascontiguousarray(np.rot90(image, k=rotation // 90))
