"""Decoding: a file becomes a few upright RGB frames. PyAV and NumPy only; runs in workers.

The packets' time stamps are read first, without decoding, and tell which frames to keep; then one
forward pass decodes and keeps those. Nothing is sought, and the frame count and duration that the
container claims are not believed.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from deepfake_seq.config import SamplingConfig
from deepfake_seq.errors import VideoError
from deepfake_seq.extract import sampling
from deepfake_seq.store import SourceFile

_MACHINE_ERRORS = {errno.EACCES, errno.EMFILE, errno.ENFILE, errno.ENOENT, errno.ENOMEM}


@dataclass(frozen=True, eq=False)
class SampledFrames:
    """Frames of one video in order of presentation.

    Attributes:
        images_rgb: uint8 (T, H, W, 3), upright: the display rotation is applied.
        frame_index: int64 (T,); each frame's number in order of presentation.
        pts_seconds: float64 (T,); each frame's presentation time.
    """

    images_rgb: npt.NDArray[np.uint8]
    frame_index: npt.NDArray[np.int64]
    pts_seconds: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.frame_index)


@dataclass(frozen=True, eq=False)
class DecodedVideo:
    """What decoding made of one file.

    Attributes:
        frames: The sampled frames, or None where there are none.
        status: `ok`, `too_few_frames`, `partial` or `decode_error`.
        reason: Why the status is not `ok`.
        source: The file that was read.
        facts: `width`, `height`, `fps`, `duration_seconds`, `codec`, `frames_total`.
        transient: Whether a failure says nothing about the file itself.
    """

    frames: SampledFrames | None
    status: str
    reason: str
    source: SourceFile
    facts: dict[str, Any] = field(default_factory=dict)
    transient: bool = False


def decode(path: Path, config: SamplingConfig) -> DecodedVideo:
    """Decode and sample one file. Never raises for what is in the file: that is in the status."""
    source = SourceFile(0, 0, "")
    try:
        source = identify(path)
        if not source.size_bytes:
            raise VideoError("decode_error", "the file is empty")
        return _decode(path, config, source)
    except VideoError as error:
        return DecodedVideo(None, error.status, str(error), source, transient=error.transient)
    except Exception as error:  # noqa: BLE001 - the boundary of one video
        transient = _is_transient(error)
        return DecodedVideo(None, "decode_error", _reason(error), source, transient=transient)


def identify(path: Path) -> SourceFile:
    """The size, time and SHA-256 of a file."""
    status = path.stat()
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return SourceFile(status.st_size, status.st_mtime_ns, digest)


@dataclass(frozen=True, eq=False)
class _Timeline:
    """When each frame of a file is shown, known without believing the container.

    Attributes:
        times: int64 (N,), rising: the frames' time stamps; or 0, 1, 2 … where the packets carry
            none that can be used.
        by_number: Whether `times` are numbers of frames, not time stamps.
        seconds: (N,); presentation times from the first frame's.
        end_seconds: When the last frame's display ends, from the first frame's.
        claimed_seconds: How long the container says that the video is; 0 where it says nothing.
        facts: `codec` and `fps`.
    """

    times: npt.NDArray[np.int64]
    by_number: bool
    seconds: npt.NDArray[np.float64]
    end_seconds: float
    claimed_seconds: float
    facts: dict[str, Any]

    @property
    def is_cut(self) -> bool:
        """Whether much of what the container promises is not there."""
        missing = self.claimed_seconds - self.end_seconds
        return missing > 0.25 + 0.05 * self.claimed_seconds


def _decode(path: Path, config: SamplingConfig, source: SourceFile) -> DecodedVideo:
    timeline = _timeline(path)
    if not len(timeline.times):
        raise VideoError("decode_error", "the file holds no video frames")
    chosen = sampling.uniform(timeline.seconds, timeline.end_seconds, config.frames)
    images, read, failure = _collect(path, timeline, chosen)
    if not images:
        raise VideoError("decode_error", failure or "no frame could be decoded")
    if timeline.is_cut and not failure:
        failure = (
            f"the video ends after {timeline.end_seconds:.2f} of {timeline.claimed_seconds:.2f} s"
        )
    sampled = SampledFrames(np.stack(images), read, timeline.seconds[read])
    status, reason = "ok", ""
    if failure or len(images) < len(chosen):
        status = "partial"
        reason = (
            f"{failure or 'the video ends early'}; "
            f"{len(images)} of {len(chosen)} sampled frames could be read"
        )
    elif len(images) < config.frames:
        status, reason = "too_few_frames", f"the video has {len(timeline.times)} frames"
    facts = {
        **timeline.facts,
        "width": images[0].shape[1],
        "height": images[0].shape[0],
        "duration_seconds": round(timeline.end_seconds, 6),
        "frames_total": len(timeline.times),
    }
    return DecodedVideo(sampled, status, reason, source, facts)


def _open(path: Path) -> Any:
    # "file:" and an absolute path, so that no name is taken for a URL or an option.
    return av.open(f"file:{path.absolute()}", options={"protocol_whitelist": "file"})


def _video_stream(container: Any) -> Any:
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    raise VideoError("decode_error", "the file has no video stream")


def _timeline(path: Path) -> _Timeline:
    """Read the packets' time stamps; where they cannot be used, count the frames by decoding."""
    with _open(path) as container:
        stream = _video_stream(container)
        packets = [
            (packet.pts, packet.duration or 0)
            for packet in container.demux(stream)
            if packet.size and not packet.is_discard
        ]
        rate = stream.average_rate or stream.guessed_rate
        fps = round(float(rate), 6) if rate and 0 < rate < 1000 else 0.0
        tick = float(stream.time_base or 0) or 1.0
        claimed = _claimed_seconds(container, stream, fps)
        facts = {"codec": stream.codec_context.name, "fps": fps}
    durations = dict(packets)
    by_number = None in durations or len(durations) < len(packets)
    if by_number:
        seconds = _decoded_seconds(path, fps or 25.0)
        times = np.arange(len(seconds))
        last = 0.0
    else:
        times = np.array(sorted(durations), dtype=np.int64)
        seconds = times.astype(np.float64) * tick
        last = durations[int(times[-1])] * tick if len(times) else 0.0
    end = 0.0
    if len(times):
        seconds = seconds - seconds[0]
        typical = float(np.median(np.diff(seconds))) if len(times) > 1 else 1.0 / (fps or 25.0)
        end = float(seconds[-1]) + (last or typical)
    return _Timeline(times, by_number, seconds, end, claimed, facts)


def _claimed_seconds(container: Any, stream: Any, fps: float) -> float:
    """How long the container says that the video stream is; 0 where it does not say."""
    claims = [0.0]
    if stream.duration and stream.time_base:
        claims.append(float(stream.duration * stream.time_base))
    elif container.duration and len(container.streams) == 1:
        claims.append(float(container.duration) / av.time_base)
    if stream.frames and fps:
        claims.append(stream.frames / fps)
    return max(claims)


def _decoded_seconds(path: Path, fps: float) -> npt.NDArray[np.float64]:
    """When each frame is shown, up to the first error, from decoding all of them."""
    stamps: list[float | None] = []
    try:
        with _open(path) as container:
            stamps.extend(frame.time for frame in _frames(container))
    except av.FFmpegError as error:
        if _is_transient(error):
            raise
        # decoding the chosen frames meets the same error, and reports it
    seconds = np.array([np.nan if stamp is None else stamp for stamp in stamps], dtype=np.float64)
    if np.isfinite(seconds).all():
        return np.maximum.accumulate(seconds)  # damaged stamps can step back; time cannot
    return np.arange(len(stamps), dtype=np.float64) / fps


def _frames(container: Any) -> Iterator[Any]:
    stream = _video_stream(container)
    stream.thread_type = "AUTO"
    yield from container.decode(stream)


def _collect(
    path: Path, timeline: _Timeline, chosen: npt.NDArray[np.int64]
) -> tuple[list[npt.NDArray[np.uint8]], npt.NDArray[np.int64], str]:
    """The chosen frames as upright RGB images, their positions, and what went wrong on the way.

    In the place of a frame that is lost, the next one that can be decoded is taken.
    """
    images: list[npt.NDArray[np.uint8]] = []
    times: list[int] = []
    failure = ""
    size: tuple[int, int] | None = None
    wanted = timeline.times[chosen]
    try:
        with _open(path) as container:
            for number, frame in enumerate(_frames(container)):
                time = number if timeline.by_number else frame.pts
                if time is None or len(images) == len(wanted) or time < wanted[len(images)]:
                    continue  # go on to the end: an error in what is left makes the file partial
                size = size or (frame.width, frame.height)
                image = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
                images.append(_upright(image, frame.rotation))
                times.append(time)
    except av.FFmpegError as error:
        if _is_transient(error):
            raise
        failure = _reason(error)
    last = len(timeline.times) - 1
    return images, np.minimum(np.searchsorted(timeline.times, times), last), failure


def _upright(image: npt.NDArray[np.uint8], rotation: int) -> npt.NDArray[np.uint8]:
    """Turn an image by the display rotation, in degrees counterclockwise."""
    if rotation % 90 or abs(rotation) > 360:
        return image
    return np.ascontiguousarray(np.rot90(image, k=rotation // 90))


def _is_transient(error: Exception) -> bool:
    """Whether the machine failed, not the file."""
    if isinstance(error, av.FFmpegError):  # it says "I/O error" of broken files, too
        return error.errno in _MACHINE_ERRORS
    return isinstance(error, OSError | MemoryError)


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())
