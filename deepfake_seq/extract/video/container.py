"""Opening a video file so that it can neither reach beyond itself nor cost too much.

FFmpeg is told which containers it may try, that nothing but files may be opened, and how large a
frame may be, before it reads the first byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

from deepfake_seq.config import LimitsConfig
from deepfake_seq.errors import VideoError

CONTAINERS = {
    "mov": "MP4, MOV, M4V, 3GP",
    "matroska": "Matroska, WebM",
    "avi": "AVI",
    "mpeg": "MPEG program stream",
    "mpegts": "MPEG transport stream",
    "mpegvideo": "MPEG-1 and MPEG-2 elementary stream",
    "h264": "H.264 elementary stream",
    "hevc": "H.265 elementary stream",
    "ivf": "IVF",
    "flv": "Flash video",
    "gif": "GIF",
}
"""FFmpeg's names of the containers that are read, and what they are."""

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
"""FFmpeg's names of the codecs that are read."""

Complaint = tuple[int, str, str]
"""Level, part of FFmpeg, and message."""

_STREAMS = 64
"""How many streams of a file the frame limit is told to while it is probed."""


@contextmanager
def open_video(
    path: Path, limits: LimitsConfig, heard: list[Complaint] | None = None
) -> Iterator[tuple[Any, Any]]:
    """The container and its video stream, ready to decode.

    Args:
        path: The file.
        limits: How large it and its frames may be.
        heard: Where to put what FFmpeg complains of while it opens the file.

    Raises:
        VideoError: The file is `rejected`, or it holds no video stream.
        av.FFmpegError: FFmpeg cannot read it.
    """
    with _open(path, limits, [] if heard is None else heard) as container:
        stream = _video_stream(container)
        context = stream.codec_context
        codec = context.codec.canonical_name
        if codec not in CODECS:
            raise VideoError("rejected", f"codec {codec} is not read; read are {', '.join(CODECS)}")
        if context.width * context.height > limits.pixels:
            raise VideoError(
                "rejected",
                f"frames of {context.width}×{context.height} pixels are larger than the limit of "
                f"{limits.pixels / 1e6:.1f} megapixels",
            )
        # The size can change on the way; the decoder then refuses what is too large.
        context.options = {"max_pixels": str(limits.pixels)}
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = limits.threads
        yield container, stream


@contextmanager
def complaints() -> Iterator[list[Complaint]]:
    """What FFmpeg complains of inside the block.

    Not round decoding in threads: FFmpeg's threads would wait for Python, which waits for them.
    """
    level = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as messages:
            yield messages
    finally:
        av.logging.set_level(level)


def _open(path: Path, limits: LimitsConfig, heard: list[Complaint]) -> Any:
    # "file:" and an absolute path, so that no name is taken for a URL or an option.
    name = f"file:{path.absolute()}"
    options = {"protocol_whitelist": "file", "format_whitelist": ",".join(CONTAINERS)}
    with complaints() as messages:
        try:
            try:
                probing: Any = [{"max_pixels": str(limits.pixels)}] * _STREAMS
                return av.open(name, options=options, stream_options=probing)
            except ValueError as error:
                if isinstance(error, av.FFmpegError):
                    raise
                # An MPEG stream tells its streams only once it is probed.
                return av.open(name, options=options)
        except av.ArgumentError as error:
            for _, container, message in messages:
                if "not on whitelist" in message:
                    raise VideoError(
                        "rejected",
                        f"a file of the kind {container} is not read; read are "
                        f"{', '.join(CONTAINERS.values())}",
                    ) from error
            raise
        finally:
            heard.extend(messages)


def _video_stream(container: Any) -> Any:
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    raise VideoError("decode_error", "the file has no video stream")
