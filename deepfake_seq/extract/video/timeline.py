"""Presentation times of all frames of a file, read without trusting the container's header."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from deepfake_seq.config import LimitsConfig
from deepfake_seq.errors import VideoError
from deepfake_seq.extract.video.container import ffmpeg_log, open_video
from deepfake_seq.extract.video.failures import is_transient


@dataclass(frozen=True, eq=False)
class Timeline:
    """The frames of a file in order of presentation.

    Attributes:
        times: int64 (N,), increasing; time stamps of the frames in units of the stream's time base,
            or 0, 1, 2 … if the packets have no usable time stamps.
        by_number: Whether `times` are frame numbers instead of time stamps.
        seconds: float64 (N,); presentation times, relative to the first frame.
        is_key: bool (N,); whether the frame is a key frame, decodable by itself.
        end_seconds: End of the last frame's display, relative to the first frame.
        claimed_seconds: Duration of the video according to the container; 0 if not given.
        file_seconds: Duration of the longest stream according to the container; 0 if not given.
        complaint: First message of FFmpeg about the container; "" if there is none.
        facts: `codec` and `fps`.
    """

    times: npt.NDArray[np.int64]
    by_number: bool
    seconds: npt.NDArray[np.float64]
    is_key: npt.NDArray[np.bool_]
    end_seconds: float
    claimed_seconds: float
    file_seconds: float
    complaint: str
    facts: dict[str, Any]

    def __len__(self) -> int:
        return len(self.times)

    @property
    def is_cut(self) -> bool:
        """Whether much less video was found than the container claims."""
        return _is_much(self.claimed_seconds - self.end_seconds, self.claimed_seconds)

    @property
    def has_lost_frames(self) -> bool:
        """Whether FFmpeg reported an error in the container, and frames seem to be missing.

        Gaps alone prove nothing: a frozen picture looks like missing frames, and so does a sound
        track that is longer than the video.
        """
        if not self.complaint or not len(self):
            return False
        gaps = np.diff(self.seconds)
        typical = float(np.median(gaps)) if len(gaps) else 0.0
        gaps_seconds = float((gaps[gaps > 2.5 * typical] - typical).sum())
        at_end = max(self.file_seconds - self.end_seconds, 0.0)
        return _is_much(gaps_seconds + at_end, max(self.file_seconds, self.end_seconds))


def read_timeline(path: Path, limits: LimitsConfig) -> Timeline:
    """Read the time stamps of the packets; if they are not usable, decode all frames instead.

    Raises:
        VideoError: The file is `rejected`, or has no video stream.
        av.FFmpegError: FFmpeg cannot read the file.
    """
    with ffmpeg_log() as log, open_video(path, limits, log) as (container, stream):
        packets = []
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard:
                packets.append((packet.pts, packet.duration or 0, packet.is_keyframe))
                check_count(len(packets), limits)
        rate = stream.average_rate or stream.guessed_rate
        fps = round(float(rate), 6) if rate and 0 < rate < 1000 else 0.0
        tick = float(stream.time_base or 0) or 1.0
        claimed = _claimed_seconds(container, stream, fps)
        longest = float(container.duration or 0) / av.time_base
        facts = {"codec": stream.codec_context.codec.canonical_name, "fps": fps}
    stamps = {stamp for stamp, _, _ in packets}
    last = 0.0
    if by_number := None in stamps or len(stamps) < len(packets):
        seconds, is_key = _decoded(path, limits, fps or 25.0)
        times = np.arange(len(seconds))
    else:
        packets.sort()
        times = np.array([stamp for stamp, _, _ in packets], dtype=np.int64)
        is_key = np.array([key for _, _, key in packets], dtype=bool)
        seconds = times.astype(np.float64) * tick
        last = packets[-1][1] * tick if packets else 0.0
    end = 0.0
    if len(times):
        seconds = seconds - seconds[0]
        typical = float(np.median(np.diff(seconds))) if len(times) > 1 else 1.0 / (fps or 25.0)
        end = float(seconds[-1]) + (last or typical)
    complaint = next((" ".join(message.split()) for _, _, message in log), "")
    return Timeline(times, by_number, seconds, is_key, end, claimed, longest, complaint, facts)


def _is_much(missing_seconds: float, of_seconds: float) -> bool:
    return missing_seconds > 0.25 + 0.05 * of_seconds


def check_count(frames: int, limits: LimitsConfig) -> None:
    """Raise `VideoError` if a video has more frames than allowed."""
    if frames > limits.frames:
        raise VideoError(
            "rejected", f"the video has more than {limits.frames} frames, which is the limit"
        )


def _claimed_seconds(container: Any, stream: Any, fps: float) -> float:
    """Return the duration of the video stream according to the container; 0 if not given."""
    claims = [0.0]
    if stream.duration and stream.time_base:
        claims.append(float(stream.duration * stream.time_base))
    elif container.duration and len(container.streams) == 1:
        claims.append(float(container.duration) / av.time_base)
    if stream.frames and fps:
        claims.append(stream.frames / fps)
    return max(claims)


def _decoded(
    path: Path, limits: LimitsConfig, fps: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Decode up to the first error; return the frames' times and which are key frames."""
    frames: list[tuple[float | None, bool]] = []
    try:
        with open_video(path, limits) as (container, stream):
            for frame in container.decode(stream):
                frames.append((frame.time, frame.key_frame))
                check_count(len(frames), limits)
    except av.FFmpegError as error:
        if is_transient(error):
            raise
        # Decoding the chosen frames will meet the same error and report it.
    stamps = [stamp for stamp, _ in frames]
    is_key = np.array([key for _, key in frames], dtype=bool)
    seconds = np.array([np.nan if stamp is None else stamp for stamp in stamps], dtype=np.float64)
    if np.isfinite(seconds).all():
        # Damaged time stamps may decrease; presentation times must not.
        return np.maximum.accumulate(seconds), is_key
    return np.arange(len(stamps), dtype=np.float64) / fps, is_key
