"""Decode a file to a few upright RGB frames; runs in worker processes, with PyAV and NumPy only.

The time stamps of the packets are read first, without decoding, and decide which frames to keep;
one forward pass then decodes them. There is no seeking, and the frame count and duration in the
container's header are not trusted.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from deepfake_seq.config import LimitsConfig, SamplingConfig
from deepfake_seq.errors import VideoError
from deepfake_seq.extract.video import allowance, sampling
from deepfake_seq.extract.video.container import OpenVideo, open_video
from deepfake_seq.extract.video.failures import is_out_of_memory, is_transient, reason_of
from deepfake_seq.extract.video.images import FrameReader
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

    @classmethod
    def failed(cls, error: VideoError, source: SourceFile) -> DecodedVideo:
        """Return the result of a file that could not be decoded."""
        return cls(None, error.status, str(error), source, error.facts, error.transient)


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
        allowance.request(limits, path.stat().st_size)
        source = identify(path, limits)
        if not source.size_bytes:
            raise VideoError("decode_error", "the file is empty")
        before = path.stat()
        video = _decode(path, config, limits, source, span)
        if _identity(path.stat()) != _identity(before) or before.st_mtime_ns != source.mtime_ns:
            raise VideoError("decode_error", "the file changed while it was read", transient=True)
        return video
    except VideoError as error:
        return DecodedVideo.failed(error, source)
    except Exception as error:  # noqa: BLE001 - the boundary of one video
        failure = VideoError("decode_error", reason_of(error), transient=is_transient(error))
        if is_out_of_memory(error):
            failure = allowance.out_of_memory(allowance.memory_limit())
        return DecodedVideo.failed(failure, source)


def frames_at(
    path: Path, positions: Sequence[int], limits: LimitsConfig = LIMITS
) -> SampledFrames | None:
    """Decode the frames at `positions` in order of presentation; None if that fails."""
    try:
        timeline = read_timeline(path, limits)
        chosen = np.array([at for at in positions if at < len(timeline)], dtype=np.int64)
        if not len(chosen):
            return None
        found = _collect(path, timeline, chosen, limits, only_these=True)
    except (VideoError, av.FFmpegError, OSError, MemoryError):
        return None
    return found.sampled(timeline) if found.images else None


def duration(path: Path, limits: LimitsConfig = LIMITS) -> float:
    """Return the duration of a video in seconds, without decoding it; 0 if it cannot be read."""
    try:
        return read_timeline(path, limits).end_seconds
    except (VideoError, av.FFmpegError, OSError, MemoryError):
        return 0.0


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
    first, last = _part(timeline, span)
    to_end = span is None or span[1] > timeline.end_seconds
    chosen = first + sampling.choose(
        config.strategy,
        timeline.seconds[first:last],
        timeline.is_key[first:last],
        timeline.end_seconds if span is None else min(span[1], timeline.end_seconds),
        config.frames,
    )
    if not len(chosen):
        raise VideoError("decode_error", "the file has no key frame")
    only_keys = config.strategy == "keyframes"
    found = _collect(
        path, timeline, chosen, limits, only_keys=only_keys, only_these=span is not None
    )
    failure = found.failure
    if not found.images:
        raise VideoError("decode_error", failure or "no frame could be decoded")
    if timeline.is_cut and to_end:
        failure = (
            f"the video ends after {timeline.end_seconds:.2f} of {timeline.claimed_seconds:.2f} s"
        )
    if not failure and timeline.has_lost_frames(first, last, to_end=to_end):
        failure = f"frames are missing: {timeline.complaint}"
    status, reason = "ok", ""
    if failure or len(found.images) < len(chosen):
        status = "partial"
        reason = (
            f"{failure or 'the video ends early'}; "
            f"{len(found.images)} of {len(chosen)} sampled frames could be read"
        )
    elif len(chosen) < config.frames:
        kind = "key frames" if only_keys else "frames"
        where = "" if span is None else " from {:g} to {:g} s".format(*span)
        status, reason = "too_few_frames", f"the video has {len(chosen)} {kind}{where}"
    facts = {
        **timeline.facts,
        **found.facts,
        "width": found.images[0].shape[1],
        "height": found.images[0].shape[0],
        "duration_seconds": round(timeline.end_seconds, 6),
        "frames_total": len(timeline),
    }
    return DecodedVideo(
        found.sampled(timeline), status, reason, source, facts, timeline_seconds=timeline.seconds
    )


def _part(timeline: Timeline, span: Span | None) -> tuple[int, int]:
    """Return the positions of the first frame in a time span, and of the first one after it."""
    if span is None:
        return 0, len(timeline)
    first, last = np.searchsorted(timeline.seconds, span)
    if first >= last:
        raise VideoError(
            "decode_error", "the video has no frames from {:g} to {:g} s".format(*span)
        )
    return int(first), int(last)


@dataclass(frozen=True, eq=False)
class _Collected:
    """Decoded frames.

    Attributes:
        images: The images, upright and with square pixels.
        positions: Their positions in the timeline.
        failure: The first error; "" if there was none.
        facts: What was changed in the first image.
        is_exact: Whether exactly the wanted frames were found, and no decoded frame is damaged.
    """

    images: list[npt.NDArray[np.uint8]]
    positions: npt.NDArray[np.int64]
    failure: str
    facts: dict[str, str]
    is_exact: bool

    def sampled(self, timeline: Timeline) -> SampledFrames:
        return SampledFrames(self.images, self.positions, timeline.seconds[self.positions])


def _collect(
    path: Path,
    timeline: Timeline,
    chosen: npt.NDArray[np.int64],
    limits: LimitsConfig,
    *,
    only_keys: bool = False,
    only_these: bool = False,
) -> _Collected:
    """Decode the chosen frames.

    A frame that cannot be decoded is replaced by the next one that can.

    At first, the decoder skips the frames that are neither chosen nor needed to decode others,
    which changes no pixel of an intact file. If that does not give exactly the chosen frames, all
    undamaged, nothing is skipped and one thread decodes: decoders conceal damage with the pixels of
    other frames, and which pixels several threads take depends on their timing.

    Args:
        path: Path of the file.
        timeline: Its frames.
        chosen: Positions in the timeline, strictly increasing.
        limits: Limits on the size of the frames.
        only_keys: Whether all chosen frames are key frames; the others are not decoded then.
        only_these: Whether to decode only the part of the file with the chosen frames. Otherwise
            the file is read to its end: an error in the rest makes it partial.
    """
    allowance.request(
        limits, path.stat().st_size, len(timeline), timeline.frame_pixels, len(chosen)
    )
    wanted = timeline.times[chosen]
    decode_frames = partial(_decode_frames, path, timeline, wanted, only_these=only_these)
    start = timeline.key_before(int(chosen[0])) if only_these else None
    skipped = "NONKEY" if only_keys and not timeline.by_number else "DEFAULT"
    at_first = "NONREF" if skipped == "DEFAULT" and not timeline.by_number else skipped
    found = decode_frames(limits, start=start, skipped=at_first)
    if found.is_exact:
        return found
    alone = replace(limits, threads=1)
    del found  # there may be no memory for the images of two passes
    if start is not None:
        found = decode_frames(alone, start=start, skipped=skipped)
        if len(found.positions) and found.positions[0] == chosen[0]:
            return found
        del found
        decode_frames = partial(decode_frames, only_these=False)
    return decode_frames(alone, start=None, skipped=skipped)


def _decode_frames(
    path: Path,
    timeline: Timeline,
    wanted: npt.NDArray[np.int64],
    limits: LimitsConfig,
    *,
    start: int | None,
    skipped: str,
    only_these: bool,
) -> _Collected:
    """Decode the frames with given time stamps, in one pass.

    Args:
        path: Path of the file.
        timeline: Its frames.
        wanted: Time stamps, or numbers if the timeline has no time stamps; strictly increasing.
        limits: Limits on the size of the frames.
        start: Time stamp of the key frame to start at; None for the start of the file.
        skipped: FFmpeg's name of the kind of frames to skip: `DEFAULT` for none, `NONKEY`, or
            `NONREF` for those that no other frame is decoded from, unless they are wanted.
        only_these: Whether to stop after the last wanted frame.
    """
    images: list[npt.NDArray[np.uint8]] = []
    times: list[int] = []
    failure = ""
    is_damaged = False
    with ExitStack() as stack:
        video = stack.enter_context(open_video(path, limits, stream_index=timeline.stream_index))
        reader = FrameReader(video.stream, limits.pixels)
        video.stream.codec_context.skip_frame = skipped
        needed = set(wanted.tolist()) if skipped == "NONREF" else None
        try:
            for number, frame in enumerate(_frames(video, start, needed)):
                check_count(number, limits)
                reader.follow(frame)
                time = number if timeline.by_number else frame.pts
                allowance.report_progress(_position(timeline, time, number) / len(timeline))
                is_damaged |= frame.is_corrupt
                if time is None or len(images) == len(wanted) or time < wanted[len(images)]:
                    continue
                images.append(reader.image(frame))
                times.append(time)
                if only_these and len(images) == len(wanted):
                    break
        except av.FFmpegError as error:
            if is_transient(error):
                raise
            failure = reason_of(error)
    found = np.minimum(np.searchsorted(timeline.times, times), len(timeline) - 1)
    # A frame with a damaged time stamp comes out of order.
    positions, order = np.unique(found, return_index=True)
    is_exact = not failure and not is_damaged and times == wanted.tolist()
    return _Collected([images[at] for at in order], positions, failure, reader.facts, is_exact)


def _position(timeline: Timeline, time: int | None, number: int) -> int:
    """Return the position of a frame in the timeline, `number` if its time stamp is unknown."""
    return number if time is None else int(np.searchsorted(timeline.times, time))


def _frames(video: OpenVideo, start: int | None, needed: set[int] | None) -> Iterator[Any]:
    """Decode the frames of a stream.

    Args:
        video: The video.
        start: Time stamp of the key frame to start at; None for the start of the file.
        needed: Time stamps of frames that must not be skipped; None if the kind of skipped frames
            stays the same.
    """
    context = video.stream.codec_context
    for packet in video.container.demux(video.stream):
        if start is not None:
            if packet.pts != start or not packet.is_keyframe:
                continue
            start = None
        if needed is not None:
            context.skip_frame = "DEFAULT" if packet.pts in needed else "NONREF"
        yield from packet.decode()
