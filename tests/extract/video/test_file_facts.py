"""What a file says about itself."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from clips import ClipStyle, write_clip
from remuxing import set_edits

from deepfake_seq.config import LimitsConfig, SamplingConfig
from deepfake_seq.extract.video.decoder_pool import Decoders
from deepfake_seq.extract.video.edit_lists import Edit, read_edit_lists
from deepfake_seq.extract.video.file_facts import read_file_facts

LIMITS = LimitsConfig()


def test_facts_name_codec_size_rate_and_encoder(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 10, ClipStyle(size=(64, 48)))
    with Decoders(1, SamplingConfig(), LIMITS) as decoders:
        facts = decoders.file_facts(path)
    assert "H.264" in facts.video["codec"] and facts.video["coded size"] == "64×48"
    assert facts.video["average rate"].startswith("25.000")
    assert facts.tags["encoder"].startswith("Lavf")
    assert facts.failure == ""


def test_long_tags_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["comment"] = "x" * 5000
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        image = np.zeros((48, 64, 3), dtype=np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode(None))
    (comment,) = (
        text
        for name, text in read_file_facts(path, LIMITS).tags.items()
        if name.lower() == "comment"
    )
    assert comment == "x" * 200 + "…"


def test_a_broken_file_has_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("not a video")
    assert read_file_facts(path, LIMITS).failure


def test_edit_lists_are_read_as_they_are_in_the_file(tmp_path: Path) -> None:
    no_b_frames = ClipStyle(options={"x264-params": "bframes=0"})
    path = write_clip(tmp_path / "a.mp4", 100, no_b_frames)
    edited = set_edits(path, tmp_path / "b.mp4", [(1, None), (2, 1), (1, 3)])
    assert read_edit_lists(edited) == (
        Edit(1, "video", pytest.approx(1), None, 1),
        Edit(1, "video", pytest.approx(2), pytest.approx(1), 1),
        Edit(1, "video", pytest.approx(1), pytest.approx(3), 1),
    )


def test_damaged_edit_lists_are_ignored(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 10)
    data = path.read_bytes()
    for position in range(len(data) - 400, len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0xFF
        (tmp_path / "b.mp4").write_bytes(damaged)
        read_edit_lists(tmp_path / "b.mp4")
    assert read_edit_lists(tmp_path / "missing.mp4") == ()
