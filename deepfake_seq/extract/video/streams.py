"""Choice of the video stream, if a file has several: covers, proxies, other angles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from av.stream import Disposition

from deepfake_seq.errors import VideoError

_COMPARABLE = 4
"""Ratio of total pixels up to which two streams are alternatives of each other."""


@dataclass(frozen=True)
class StreamSize:
    """A video stream of a file.

    Attributes:
        index: Index of the stream in the file.
        is_default: Whether the file marks it as the default.
        width: Width of a frame in pixels.
        height: Height of a frame in pixels.
        frames: Number of frames.
    """

    index: int
    is_default: bool
    width: int
    height: int
    frames: int

    @property
    def pixels(self) -> int:
        """Number of pixels of all frames together."""
        return self.width * self.height * self.frames

    def __str__(self) -> str:
        return f"{self.width}×{self.height}, {self.frames} frames"


def best(streams: list[StreamSize]) -> StreamSize:
    """Return the stream to decode: one with most pixels, all frames together.

    Streams with at least a quarter of the most pixels are alternatives: the one marked as the
    default is preferred. The mark alone means little, because MP4 files often mark the first
    stream, be it a cover.

    Args:
        streams: At least one stream, without attached pictures.
    """
    most = max(stream.pixels for stream in streams)
    alternatives = [stream for stream in streams if _COMPARABLE * stream.pixels >= most]
    return max(alternatives, key=lambda stream: (stream.is_default, stream.pixels, -stream.index))


def candidates(container: Any) -> list[Any]:
    """Return the video streams of a container, without attached pictures.

    Raises:
        VideoError: There is none.
    """
    found = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
    ]
    if not found:
        raise VideoError("decode_error", "the file has no video stream")
    return found


def choose(container: Any) -> tuple[int, tuple[str, ...]]:
    """Count the frames of all video streams; return the index of the best and the other ones.

    Reads the file to its end, without decoding.
    """
    found = candidates(container)
    frames = dict.fromkeys((stream.index for stream in found), 0)
    for packet in container.demux(*found):
        frames[packet.stream.index] += bool(packet.size and not packet.is_discard)
    sizes = [
        StreamSize(
            stream.index,
            bool(stream.disposition & Disposition.default),
            stream.codec_context.width,
            stream.codec_context.height,
            frames[stream.index],
        )
        for stream in found
    ]
    chosen = best(sizes)
    return chosen.index, tuple(str(size) for size in sizes if size.index != chosen.index)
