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
from deepfake_seq.extract.video.allowance import request
from deepfake_seq.extract.video.container import ffmpeg_log, open_video
from deepfake_seq.extract.video.failures import is_transient

_MAX_REORDERED = 32
"""Largest number of frames by which decoders move a frame; H.264 and H.265 allow 16."""

_COMPARED = 5
"""Number of times before and after a step back that show whether the times start again."""


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
        file_seconds: Duration of the longest stream according to the container, relative to the
            first frame; 0 or less if not given.
        complaint: First message of FFmpeg about the container; "" if there is none.
        facts: `codec` and `fps`; `other_video_streams` if there are any.
        stream_index: Index of the video stream in the file.
        frame_pixels: Number of pixels of a frame according to the container.
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
    stream_index: int
    frame_pixels: int

    def __len__(self) -> int:
        return len(self.times)

    def key_before(self, position: int) -> int | None:
        """Return the time stamp of the last key frame up to a position; None if it is the first."""
        keys = np.flatnonzero(self.is_key[: position + 1])
        return int(self.times[keys[-1]]) if len(keys) > 1 and not self.by_number else None

    @property
    def is_cut(self) -> bool:
        """Whether much less video was found than the container claims."""
        return _is_much(self.claimed_seconds - self.end_seconds, self.claimed_seconds)

    def has_lost_frames(self, first: int, last: int, *, to_end: bool) -> bool:
        """Return whether FFmpeg reported an error in the container, and frames seem to be missing.

        Gaps alone prove nothing: a frozen picture looks like missing frames, and so does a sound
        track that is longer than the video.

        Args:
            first: Position of the first frame that matters.
            last: Position of the first frame after those that matter.
            to_end: Whether the end of the file matters.
        """
        if not self.complaint:
            return False
        gaps = np.diff(self.seconds[first:last])
        typical = float(np.median(gaps)) if len(gaps) else 0.0
        gaps_seconds = float((gaps[gaps > 2.5 * typical] - typical).sum())
        at_end = max(self.file_seconds - self.end_seconds, 0.0) if to_end else 0.0
        return _is_much(gaps_seconds + at_end, max(self.file_seconds, self.end_seconds))


def read_timeline(path: Path, limits: LimitsConfig) -> Timeline:
    """Read the time stamps of the packets; if they are not usable, decode all frames instead.

    Raises:
        VideoError: The file is `rejected`, or has no video stream.
        av.FFmpegError: FFmpeg cannot read the file.
    """
    with ffmpeg_log() as log, open_video(path, limits, log) as video:
        container, stream, stream_index = video.container, video.stream, video.stream.index
        context = stream.codec_context
        frame_pixels = context.width * context.height
        rate = stream.average_rate or stream.guessed_rate
        fps = round(float(rate), 6) if rate and 0 < rate < 1000 else 0.0
        tick = float(stream.time_base or 0) or 1.0
        claimed = _claimed_seconds(container, stream, fps)
        longest = float(container.duration or 0) / av.time_base
        # Times in MP4 start before an initial empty edit, and so does the duration.
        start = 0.0 if _is_mp4(container) else float(container.start_time or 0) / av.time_base
        facts: dict[str, Any] = {"codec": context.codec.canonical_name, "fps": fps}
        if video.others:
            facts["other_video_streams"] = list(video.others)
        packets = []
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard:
                packets.append((packet.pts, packet.duration or 0, packet.is_keyframe))
                check_count(len(packets), limits)
    last = 0.0
    if by_number := not _are_usable([stamp for stamp, _, _ in packets]):
        request(limits, path.stat().st_size, 2 * len(packets), frame_pixels)
        seconds, is_key = _decoded(path, limits, stream_index, fps or 25.0)
        times = np.arange(len(seconds))
    else:
        packets.sort()
        times = np.array([stamp for stamp, _, _ in packets], dtype=np.int64)
        is_key = np.array([key for _, _, key in packets], dtype=bool)
        seconds = times.astype(np.float64) * tick
        last = packets[-1][1] * tick if packets else 0.0
    end = 0.0
    if len(times):
        longest -= float(seconds[0]) - start
        seconds = seconds - seconds[0]
        typical = float(np.median(np.diff(seconds))) if len(times) > 1 else 1.0 / (fps or 25.0)
        end = float(seconds[-1]) + (last or typical)
    if 0 < limits.duration_seconds < end:
        raise VideoError(
            "rejected",
            f"a video of {end:.1f} s exceeds the limit of {limits.duration_seconds:g} s",
        )
    complaint = next((" ".join(message.split()) for _, _, message in log), "")
    return Timeline(
        times,
        by_number,
        seconds,
        is_key,
        end,
        claimed,
        longest,
        complaint,
        facts,
        stream_index,
        frame_pixels,
    )


def _are_usable(stamps: list[int | None]) -> bool:
    """Return whether the time stamps of packets, in the order of the file, tell all frames apart.

    Decoders reorder frames a little; a frame that belongs much earlier shows that the time stamps
    start again, as in two recordings joined byte by byte.
    """
    if None in stamps or len(set(stamps)) < len(stamps):
        return False
    order = np.argsort(np.array(stamps, dtype=np.int64))
    return not len(order) or int(np.abs(order - np.arange(len(order))).max()) <= _MAX_REORDERED


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
    if presented := _indexed_seconds(container, stream):
        return presented
    claims = [0.0]
    if stream.duration and stream.time_base:
        claims.append(float(stream.duration * stream.time_base))
    elif container.duration and len(container.streams) == 1:
        claims.append(float(container.duration) / av.time_base)
    if stream.frames and fps:
        claims.append(stream.frames / fps)
    return max(claims)


def _indexed_seconds(container: Any, stream: Any) -> float:
    """Return the duration of the frames in the index of an MP4 or MOV file; 0 if it has none.

    FFmpeg has applied the edit lists to the index, so frames that are hidden or come twice count as
    often as they are shown. The other statements in such a file count hidden frames or empty edits.
    The frames of fragments are not in the index.
    """
    if not _is_mp4(container) or not stream.frames or not stream.time_base:
        return 0.0
    stamps = [entry.timestamp for entry in stream.index_entries if not entry.is_discard]
    if len(stamps) < 2:
        return 0.0
    gaps = np.diff(np.sort(np.array(stamps, dtype=np.float64)))
    return float((gaps.sum() + np.median(gaps)) * float(stream.time_base))


def _is_mp4(container: Any) -> bool:
    return "mp4" in container.format.name


def _decoded(
    path: Path, limits: LimitsConfig, stream_index: int, fps: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Decode up to the first error; return the frames' times and which are key frames."""
    frames: list[tuple[float | None, bool]] = []
    try:
        with open_video(path, limits, stream_index=stream_index) as video:
            for frame in video.container.decode(video.stream):
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
        return increasing(seconds), is_key
    return np.arange(len(stamps), dtype=np.float64) / fps, is_key


def increasing(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return times of decoded frames that do not decrease.

    Times that stay lower than before start again, as in two recordings joined byte by byte: they
    continue after the frame before them. Single times that are too low or too high are damaged:
    they become those of a frame beside them.

    Args:
        seconds: (N,) times of the frames in the order in which the decoder returns them.
    """
    if not len(seconds):
        return seconds
    steps = np.diff(seconds)
    typical = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    shifted = seconds.copy()
    for position in np.flatnonzero(steps < 0) + 1:
        before = shifted[max(position - _COMPARED, 0) : position]
        after = shifted[position : position + _COMPARED]
        if np.median(after) < np.median(before):
            shifted[position:] += before.max() + typical - shifted[position]
        elif after[0] >= np.median(before):
            np.minimum(before, after[0], out=before)
    return np.maximum.accumulate(shifted)
