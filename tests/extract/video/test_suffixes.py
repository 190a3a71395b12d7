"""Every suffix that is searched for in folders is one that can be read."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from clips import STYLES, ClipStyle, write_clip

from deepfake_seq.config import CONTAINERS, UNSUPPORTED_VIDEO_SUFFIXES, SamplingConfig
from deepfake_seq.extract.video.decode import decode

WRITTEN_AS = {
    "mov": ("mp4", STYLES["h264.mp4"]),
    "matroska": ("mkv", STYLES["h264.mkv"]),
    "avi": ("avi", STYLES["mjpeg.avi"]),
    "mpeg": ("vob", STYLES["mpeg2.mpg"]),
    "mpegts": ("ts", STYLES["h264.ts"]),
    "mpegvideo": ("mpeg2video", STYLES["mpeg2.mpg"]),
    "h264": ("h264", STYLES["h264.mp4"]),
    "hevc": ("hevc", ClipStyle("libx265", options={"x265-params": "log-level=none"})),
    "ivf": ("ivf", STYLES["vp9.webm"]),
    "flv": ("flv", STYLES["h264.mp4"]),
    "gif": ("gif", ClipStyle("gif", "rgb8")),
}
"""The suffix that selects FFmpeg's writer for each container, and an encoding it can contain."""


@pytest.mark.parametrize(
    ("container", "suffix"),
    [(name, suffix) for name, row in CONTAINERS.items() for suffix in row.suffixes],
)
def test_a_file_with_a_supported_suffix_is_decoded(
    container: str, suffix: str, tmp_path: Path
) -> None:
    written_as, style = WRITTEN_AS[container]
    path = write_clip(tmp_path / f"clip.{written_as}", 20, style)
    decoded = decode(path.rename(tmp_path / f"clip{suffix}"), SamplingConfig())
    assert decoded.status == "ok", decoded.reason


def test_no_unsupported_suffix_belongs_to_a_supported_container() -> None:
    for name, row in CONTAINERS.items():
        by_ffmpeg = {f".{suffix}" for suffix in av.ContainerFormat(name, "r").extensions}
        assert not by_ffmpeg & UNSUPPORTED_VIDEO_SUFFIXES
        assert not set(row.suffixes) & UNSUPPORTED_VIDEO_SUFFIXES
