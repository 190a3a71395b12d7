"""Safe opening of untrusted video files with FFmpeg.

The allowed containers, the allowed protocols (files only) and the maximum frame size are set before
FFmpeg reads the first byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from deepfake_seq.config import CONTAINERS, LimitsConfig
from deepfake_seq.errors import VideoError
from deepfake_seq.extract.video import streams

CODECS = (
    "h264",
    "hevc",
    "vp8",
    "vp9",
    "av1",
    "mpeg1video",
    "mpeg2video",
    "mpeg4",
    "mjpeg",
    "prores",
    "gif",
)
"""FFmpeg's names of the supported codecs."""

LogMessage = tuple[int, str, str]
"""Level, component and text of a message logged by FFmpeg."""

_STREAMS = 64
"""Number of streams of a file whose frames are limited while the file is probed."""


@dataclass(frozen=True, eq=False)
class OpenVideo:
    """An open file, and the video stream to decode.

    Attributes:
        container: PyAV's container.
        stream: PyAV's stream.
        others: The other video streams of the file, each described in words.
    """

    container: Any
    stream: Any
    others: tuple[str, ...] = ()


@contextmanager
def open_video(
    path: Path,
    limits: LimitsConfig,
    log: list[LogMessage] | None = None,
    stream_index: int | None = None,
) -> Iterator[OpenVideo]:
    """Open a video, ready to decode its best video stream; see `streams.choose`.

    Args:
        path: Path of the file.
        limits: Maximum sizes of the file and its frames.
        log: List to which the warnings and errors of FFmpeg during opening are appended.
        stream_index: Index of the stream, if it has been chosen before.

    Raises:
        VideoError: The file is `rejected`, or has no video stream.
        av.FFmpegError: FFmpeg cannot read the file.
    """
    messages = [] if log is None else log
    with ExitStack() as stack:
        container = stack.enter_context(_open(path, limits, messages))
        others: tuple[str, ...] = ()
        if stream_index is None:
            indices = [stream.index for stream in streams.candidates(container)]
            stream_index = indices[0]
            if len(indices) > 1:
                with _open(path, limits, []) as counted:
                    stream_index, others = streams.choose(counted)
        stream = container.streams[stream_index]
        context = stream.codec_context
        codec = context.codec.canonical_name
        if codec not in CODECS:
            raise VideoError(
                "rejected", f"codec {codec} is not supported; supported are {', '.join(CODECS)}"
            )
        if context.width * context.height > limits.pixels:
            raise VideoError(
                "rejected",
                f"frames of {context.width}×{context.height} pixels exceed the limit of "
                f"{limits.pixels / 1e6:.1f} megapixels",
            )
        # The size can change inside the file; the decoder then refuses frames that are too large.
        context.options = {"max_pixels": str(limits.pixels)}
        stream.thread_type = "AUTO"
        context.thread_count = limits.threads
        yield OpenVideo(container, stream, others)


@contextmanager
def ffmpeg_log() -> Iterator[list[LogMessage]]:
    """Capture the warnings and errors that FFmpeg logs inside the block.

    Must not enclose decoding in threads: FFmpeg's threads and Python would wait for each other.
    """
    level, skips_repeated = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.WARNING)
    av.logging.set_skip_repeated(False)  # also those that the last file gave
    try:
        with av.logging.Capture() as messages:
            yield messages
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skips_repeated)


def _open(path: Path, limits: LimitsConfig, log: list[LogMessage]) -> Any:
    # "file:" and an absolute path, so that no file name is read as a URL or an option.
    name = f"file:{path.absolute()}"
    options = {"protocol_whitelist": "file", "format_whitelist": ",".join(CONTAINERS)}
    with ffmpeg_log() as messages:
        try:
            try:
                probing: Any = [{"max_pixels": str(limits.pixels)}] * _STREAMS
                return av.open(name, options=options, stream_options=probing)
            except ValueError as error:
                if isinstance(error, av.FFmpegError):
                    raise
                # The streams of an MPEG file are only known after probing.
                return av.open(name, options=options)
        except av.ArgumentError as error:
            for _, container, message in messages:
                if "not on whitelist" in message:
                    raise VideoError(
                        "rejected",
                        f"container {container} is not supported; supported are "
                        f"{', '.join(row.description for row in CONTAINERS.values())}",
                    ) from error
            raise
        finally:
            log.extend(messages)
