"""The supported video containers and their file suffixes, and the suffixes of other media.

This is the only table of suffixes: finding videos in folders and opening them both use it.
"""

from __future__ import annotations

from typing import NamedTuple


class Container(NamedTuple):
    """A supported container.

    Attributes:
        description: Name for messages.
        suffixes: Suffixes of its files, in lower case.
    """

    description: str
    suffixes: tuple[str, ...]


# fmt: off
CONTAINERS = {
    "mov": Container("MP4, MOV, M4V, 3GP", (
        ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3gpp", ".3g2", ".3gp2", ".f4v", ".ismv",
    )),
    "matroska": Container("Matroska, WebM", (".mkv", ".mk3d", ".webm")),
    "avi": Container("AVI", (".avi", ".divx")),
    "mpeg": Container("MPEG program stream", (".mpg", ".mpeg", ".mpe", ".vob", ".m2p")),
    "mpegts": Container("MPEG transport stream", (".ts", ".mts", ".m2ts", ".m2t", ".tod")),
    "mpegvideo": Container("MPEG-1 and MPEG-2 elementary stream", (".m1v", ".m2v", ".mpv")),
    "h264": Container("H.264 elementary stream", (".h264", ".264", ".avc")),
    "hevc": Container("H.265 elementary stream", (".h265", ".265", ".hevc")),
    "ivf": Container("IVF", (".ivf",)),
    "flv": Container("Flash video", (".flv",)),
    "gif": Container("GIF", (".gif",)),
}
"""The supported containers by FFmpeg's name."""

UNSUPPORTED_VIDEO_SUFFIXES = frozenset({
    ".amv", ".asf", ".av1", ".dif", ".dv", ".mjpeg", ".mjpg", ".mxf", ".nut", ".obu", ".ogm",
    ".ogv", ".rm", ".rmvb", ".swf", ".vvc", ".wmv", ".wtv", ".y4m", ".yuv",
})
"""Suffixes of videos in containers that are not supported."""

IMAGE_SUFFIXES = frozenset({
    ".avif", ".bmp", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".jxl", ".png", ".ppm", ".tif",
    ".tiff", ".webp",
})

ARCHIVE_SUFFIXES = frozenset({
    ".001", ".7z", ".bz2", ".gz", ".lzma", ".rar", ".tar", ".tgz", ".xz", ".zip", ".zst",
})
# fmt: on

VIDEO_SUFFIXES = frozenset(suffix for row in CONTAINERS.values() for suffix in row.suffixes)
"""Suffixes of the files that are found in folders."""
