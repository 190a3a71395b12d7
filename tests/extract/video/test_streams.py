"""Files with several video streams."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import ClipStyle, number_in, numbered, write_streams
from hypothesis import given
from hypothesis import strategies as st

from deepfake_seq.config import SamplingConfig
from deepfake_seq.extract.video.decode import decode, frames_at
from deepfake_seq.extract.video.streams import StreamSize, best

SIXTEEN = SamplingConfig()


def write_sizes(path: Path, *sizes: tuple[int, int, int]) -> Path:
    """Write a file with video streams of some widths, heights and numbers of frames."""
    return write_streams(
        path,
        [
            ([numbered(n, (width, height)) for n in range(frames)], ClipStyle())
            for width, height, frames in sizes
        ],
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts"])
@pytest.mark.parametrize("other", [(256, 256, 1), (48, 48, 50)], ids=["cover", "proxy"])
def test_the_film_is_taken_instead_of_a_cover_or_a_proxy_before_it(
    other: tuple[int, int, int], suffix: str, tmp_path: Path
) -> None:
    path = write_sizes(tmp_path / f"two{suffix}", other, (128, 112, 50))
    video = decode(path, SIXTEEN)
    assert (video.status, video.reason) == ("ok", "")
    assert (video.facts["width"], video.facts["height"]) == (128, 112)
    assert video.facts["other_video_streams"] == ["{}×{}, {} frames".format(*other)]
    assert video.frames is not None
    expected = [(2 * n + 1) * 50 // 32 for n in range(16)]
    assert [number_in(image) for image in video.frames.images_rgb] == expected
    again = frames_at(path, [3, 30])
    assert again is not None
    assert [image.shape for image in again.images_rgb] == [(112, 128, 3)] * 2


def test_one_stream_is_not_counted_or_mentioned(tmp_path: Path) -> None:
    video = decode(write_sizes(tmp_path / "one.mp4", (64, 48, 20)), SIXTEEN)
    assert "other_video_streams" not in video.facts


def size(index: int, width: int, frames: int, is_default: bool = False) -> StreamSize:
    return StreamSize(index, is_default, width, width, frames)


def test_the_default_is_preferred_among_similar_streams_only() -> None:
    assert best([size(0, 640, 100), size(1, 320, 100, is_default=True)]).index == 1
    assert best([size(0, 96, 100, is_default=True), size(1, 512, 100)]).index == 1
    assert best([size(0, 2000, 1, is_default=True), size(1, 512, 250)]).index == 1
    assert best([size(0, 512, 100), size(1, 512, 100)]).index == 0


@given(
    st.lists(
        st.tuples(st.integers(1, 4000), st.integers(0, 10_000), st.booleans()),
        min_size=1,
        max_size=8,
    )
)
def test_the_chosen_stream_has_at_least_a_quarter_of_the_most_pixels(
    streams: list[tuple[int, int, bool]],
) -> None:
    sizes = [size(n, *stream) for n, stream in enumerate(streams)]
    chosen = best(sizes)
    assert 4 * chosen.pixels >= max(stream.pixels for stream in sizes)
