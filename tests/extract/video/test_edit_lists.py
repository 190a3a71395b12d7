"""Lossless cuts of MP4 and MOV files: only the presented frames count."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import ClipStyle, cut_tail, number_in, write_clip
from remuxing import Edit, set_edits, trim

from deepfake_seq.config import SamplingConfig
from deepfake_seq.extract.video.decode import DecodedVideo, decode

SIXTEEN = SamplingConfig()


@pytest.fixture(scope="module", params=[250, 12], ids=["long-gop", "short-gop"])
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """250 frames at 25 frames per second, with B-frames."""
    options = {"x264-params": f"keyint={request.param}:bframes=3:scenecut=0"}
    path = tmp_path_factory.mktemp("recording") / "long.mp4"
    return write_clip(path, 250, ClipStyle(options=options))


def numbers_in(video: DecodedVideo) -> list[int]:
    assert video.frames is not None, video.reason
    return [number_in(image) for image in video.frames.images_rgb]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_losslessly_trimmed_video_is_ok(recording: Path, suffix: str, tmp_path: Path) -> None:
    path = trim(recording, tmp_path / f"trimmed{suffix}", 4, 4)
    video = decode(path, SIXTEEN)
    assert (video.status, video.reason) == ("ok", "")
    assert video.facts["duration_seconds"] == 4
    assert video.facts["frames_total"] == 100
    assert numbers_in(video) == [103 + 25 * n // 4 for n in range(16)]


@pytest.mark.parametrize(
    ("edits", "shown"),
    [
        ([(10, 0)], [(0, 250)]),
        ([(4, 4)], [(100, 200)]),
        ([(2, None), (10, 0)], [(0, 250)]),
        ([(2, None), (4, 4)], [(100, 200)]),
        ([(2, 1), (3, 6)], [(25, 75), (150, 225)]),
        ([(1, None), (2, 1), (3, 6)], [(25, 75), (150, 225)]),
        ([(2, 6), (2, 1)], [(150, 200), (25, 75)]),
        ([(2, 1), (2, 1)], [(25, 75), (25, 75)]),
        ([(30, 2)], [(50, 250)]),
    ],
    ids=str,
)
def test_only_the_frames_of_an_edit_list_count(
    recording: Path, edits: list[Edit], shown: list[tuple[int, int]], tmp_path: Path
) -> None:
    path = set_edits(recording, tmp_path / "edited.mp4", edits)
    video = decode(path, SIXTEEN)
    assert (video.status, video.reason) == ("ok", "")
    expected = [number for first, last in shown for number in range(first, last)]
    assert video.facts["frames_total"] == len(expected)
    assert video.facts["duration_seconds"] == pytest.approx(len(expected) / 25, abs=0.16)
    assert video.frames is not None
    assert numbers_in(video) == [expected[at] for at in video.frames.frame_index]
    assert abs(video.frames.frame_index - (video.frames.pts_seconds * 25)).max() <= 4


def test_a_trimmed_file_that_really_ends_early_is_partial(recording: Path, tmp_path: Path) -> None:
    options = {"movflags": "faststart"}
    whole = trim(recording, tmp_path / "trimmed.mp4", 4, 4, options)
    assert decode(whole, SIXTEEN).status == "ok"
    video = decode(cut_tail(whole, tmp_path / "cut.mp4", 0.8), SIXTEEN)
    assert video.status == "partial"
    assert "the video ends after" in video.reason
    assert 100 in numbers_in(video)
