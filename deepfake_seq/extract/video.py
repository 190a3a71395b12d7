"""Decoding: a file becomes a few upright RGB frames. PyAV and NumPy only; runs in workers.

The packets' time stamps are read first, without decoding, and tell which frames to keep; then one
forward pass decodes and keeps those. Nothing is sought, and the frame count and duration that the
container claims are not believed.
"""

from __future__ import annotations

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
    """

    frames: SampledFrames | None
    status: str
    reason: str
    source: SourceFile
    facts: dict[str, Any] = field(default_factory=dict)


def decode(path: Path, config: SamplingConfig) -> DecodedVideo:
    """Decode and sample one file. Never raises for what is in the file: that is in the status."""
    source = SourceFile(0, 0, "")
    try:
        source = identify(path)
        if not source.size_bytes:
            raise VideoError("decode_error", "the file is empty")
        return _decode(path, config, source)
    except VideoError as error:
        return DecodedVideo(None, error.status, str(error), source)
    except Exception as error:  # noqa: BLE001 - the boundary of one video
        return DecodedVideo(None, "decode_error", _reason(error), source)


def identify(path: Path) -> SourceFile:
    """The size, time and SHA-256 of a file."""
    status = path.stat()
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return SourceFile(status.st_size, status.st_mtime_ns, digest)


@dataclass(frozen=True)
class _Plan:
    """Which frames to keep, by time stamp (or by number, where a file has no time stamps)."""

    keys: list[int]
    index: list[int]
    seconds: list[float]
    by_number: bool


def _decode(path: Path, config: SamplingConfig, source: SourceFile) -> DecodedVideo:
    times, facts, by_number = _timeline(path)
    if not len(times):
        raise VideoError("decode_error", "the file holds no video frames")
    seconds = (times - times[0]) * facts.pop("_time_base")
    end_seconds = float(seconds[-1] + facts.pop("_last_duration"))
    facts["duration_seconds"] = round(end_seconds, 6)
    facts["frames_total"] = len(times)
    chosen = sampling.uniform(seconds, end_seconds, config.frames)
    plan = _Plan(
        keys=[int(position if by_number else times[position]) for position in chosen],
        index=chosen.tolist(),
        seconds=seconds[chosen].tolist(),
        by_number=by_number,
    )
    frames, failure = _collect(path, plan)
    if not frames:
        raise VideoError("decode_error", failure or "no frame could be decoded")
    facts["width"], facts["height"] = frames[0].shape[1], frames[0].shape[0]
    sampled = SampledFrames(
        np.stack(frames),
        np.array(plan.index[: len(frames)], dtype=np.int64),
        np.array(plan.seconds[: len(frames)]),
    )
    status, reason = "ok", ""
    if failure or len(frames) < len(chosen):
        status = "partial"
        reason = (
            f"{failure or 'the video ends early'}; "
            f"{len(frames)} of {len(chosen)} sampled frames could be read"
        )
    elif len(frames) < config.frames:
        status, reason = "too_few_frames", f"the video has {len(times)} frames"
    return DecodedVideo(sampled, status, reason, source, facts)


def _open(path: Path) -> Any:
    # "file:" and an absolute path, so that no name is taken for a URL or an option.
    return av.open(f"file:{path.absolute()}", options={"protocol_whitelist": "file"})


def _video_stream(container: Any) -> Any:
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    raise VideoError("decode_error", "the file has no video stream")


def _timeline(path: Path) -> tuple[npt.NDArray[np.int64], dict[str, Any], bool]:
    """Time stamps of all frames, rising; facts; and whether they are numbers, not stamps."""
    with _open(path) as container:
        stream = _video_stream(container)
        packets = [
            (packet.pts, packet.duration or 0)
            for packet in container.demux(stream)
            if packet.size and not packet.is_discard
        ]
        rate = stream.average_rate or stream.guessed_rate
        facts = {
            "codec": stream.codec_context.name,
            "fps": round(float(rate), 6) if rate and 0 < rate < 1000 else 0.0,
            "_time_base": float(stream.time_base or 0) or 1.0,
        }
    stamps = [pts for pts, _ in packets if pts is not None]
    by_number = len(stamps) < len(packets) or len(set(stamps)) < len(stamps)
    if by_number:
        # Some files carry no usable time stamps: count the frames by decoding them once.
        with _open(path) as container:
            stamps = [number for number, _ in enumerate(_frames(container))]
        facts["_time_base"] = 1.0 / (facts["fps"] or 25.0)
    times = np.array(sorted(stamps), dtype=np.int64)
    last = dict(packets).get(times[-1]) if len(times) and not by_number else 1
    typical = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    facts["_last_duration"] = (last or typical) * facts["_time_base"]
    return times, facts, by_number


def _frames(container: Any) -> Iterator[Any]:
    stream = _video_stream(container)
    stream.thread_type = "AUTO"
    yield from container.decode(stream)


def _collect(path: Path, plan: _Plan) -> tuple[list[npt.NDArray[np.uint8]], str]:
    """The planned frames as upright RGB images, and what went wrong on the way."""
    images: list[npt.NDArray[np.uint8]] = []
    size: tuple[int, int] | None = None
    try:
        with _open(path) as container:
            for number, frame in enumerate(_frames(container)):
                key = number if plan.by_number else frame.pts
                if key is None or len(images) == len(plan.keys) or key < plan.keys[len(images)]:
                    continue  # go on to the end: an error in what is left makes the file partial
                size = size or (frame.width, frame.height)
                image = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
                images.append(_upright(image, frame.rotation))
    except av.FFmpegError as error:
        return images, _reason(error)
    return images, ""


def _upright(image: npt.NDArray[np.uint8], rotation: int) -> npt.NDArray[np.uint8]:
    """Turn an image by the display rotation, in degrees counterclockwise."""
    if rotation % 90 or abs(rotation) > 360:
        return image
    return np.ascontiguousarray(np.rot90(image, k=rotation // 90))


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())
