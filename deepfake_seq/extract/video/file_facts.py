"""What a video file says about itself: container, streams, tags and edit lists.

Anybody can write anything into these fields. They are facts about the file, not about its origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av

from deepfake_seq.config import LimitsConfig
from deepfake_seq.errors import VideoError
from deepfake_seq.extract.video.container import open_video
from deepfake_seq.extract.video.edit_lists import Edit, read_edit_lists
from deepfake_seq.extract.video.failures import reason_of

_MAX_TAGS = 40
_MAX_TEXT = 200


@dataclass(frozen=True)
class FileFacts:
    """Facts from the headers of a file; untrusted text.

    Attributes:
        container: FFmpeg's name of the container format; "" if the file cannot be opened.
        video: Description of the video stream by name: codec, profile, pixel format, rate …
        other_streams: The other streams, in words.
        tags: Tags of the container and of the video stream by name, such as `encoder` and
            `creation_time`.
        edits: Edit lists of MP4 and MOV files.
        failure: Why the facts are missing; "" otherwise.
    """

    container: str = ""
    video: Mapping[str, str] = field(default_factory=dict)
    other_streams: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    edits: tuple[Edit, ...] = ()
    failure: str = ""


def read_file_facts(path: Path, limits: LimitsConfig) -> FileFacts:
    """Read the headers of a file, without decoding it.

    Args:
        path: Path of the file; untrusted input.
        limits: Limits on the size of the file and its frames.
    """
    try:
        with open_video(path, limits) as video:
            container, stream = video.container, video.stream
            return FileFacts(
                container=str(container.format.long_name or container.format.name),
                video=_video(stream, container),
                other_streams=tuple(
                    _text(f"{other.type}, {_codec(other)}")
                    for other in list(container.streams)[:_MAX_TAGS]
                    if other.index != stream.index
                ),
                tags=_tags(container.metadata, stream.metadata),
                edits=read_edit_lists(path),
            )
    except (VideoError, av.FFmpegError, OSError, MemoryError) as error:
        return FileFacts(failure=str(error) if isinstance(error, VideoError) else reason_of(error))


def _video(stream: Any, container: Any) -> dict[str, str]:
    context = stream.codec_context
    rate, bits = stream.average_rate, stream.bit_rate or container.bit_rate
    facts = {
        "codec": str(context.codec.long_name),
        "profile": str(context.profile or ""),
        "pixel format": str(context.pix_fmt or ""),
        "coded size": f"{context.width}×{context.height}",
        "average rate": f"{float(rate):.3f} frames per second" if rate else "",
        "bit rate": f"{bits / 1000:,.0f} kbit/s" if bits else "",
    }
    return {name: _text(value) for name, value in facts.items() if value}


def _codec(stream: Any) -> str:
    context = getattr(stream, "codec_context", None)
    return str(context.name) if context is not None else "unknown codec"


def _tags(*sources: Mapping[str, str]) -> dict[str, str]:
    """Join tags; those of the stream are marked if the container has another value."""
    tags: dict[str, str] = {}
    for source, suffix in zip(sources, ("", " (video stream)"), strict=True):
        for name, value in list(source.items())[:_MAX_TAGS]:
            if tags.get(_text(name)) != _text(value):
                tags[_text(f"{name}{suffix}" if name in tags else name)] = _text(value)
    return tags


def _text(value: str) -> str:
    return value if len(value) <= _MAX_TEXT else f"{value[:_MAX_TEXT]}…"
