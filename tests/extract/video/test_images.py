"""Shape of the images: square pixels, display rotation, changes of size."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from clips import STYLES, ClipStyle, number_in, numbered, write_clip, write_images
from hypothesis import given
from hypothesis import strategies as st
from remuxing import filtered

from deepfake_seq.config import SamplingConfig
from deepfake_seq.extract.video.decode import DecodedVideo, decode
from deepfake_seq.extract.video.images import square_size

SIXTEEN = SamplingConfig()
NO_LIMIT = 1 << 40


def disc(width: int, height: int, aspect: Fraction) -> npt.NDArray[np.uint8]:
    """A white disc on black, drawn in pixels of a given aspect ratio."""
    y, x = np.mgrid[:height, :width]
    radius = 0.4 * min(float(width * aspect), height)
    inside = np.hypot((x + 0.5 - width / 2) * float(aspect), y + 0.5 - height / 2) < radius
    return np.repeat(np.where(inside, 255, 0).astype(np.uint8)[..., None], 3, axis=2)


def extent(image_rgb: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Return the width and height of the disc in an image."""
    white = image_rgb[..., 0] > 128
    return int(white.any(axis=0).sum()), int(white.any(axis=1).sum())


def first_image(video: DecodedVideo) -> npt.NDArray[np.uint8]:
    assert video.frames is not None, video.reason
    return video.frames.images_rgb[0]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("rotation", [0, 90])
@pytest.mark.parametrize(
    ("size", "aspect", "shown"),
    [
        ((180, 144), Fraction(64, 45), (256, 144)),
        ((120, 136), Fraction(2), (240, 136)),
        ((144, 120), Fraction(3, 4), (144, 160)),
    ],
    ids=["dvd", "anamorphic", "narrow"],
)
def test_a_circle_stays_round_whatever_the_shape_of_the_pixels(
    size: tuple[int, int],
    aspect: Fraction,
    shown: tuple[int, int],
    rotation: int,
    suffix: str,
    tmp_path: Path,
) -> None:
    style = ClipStyle(aspect=aspect, rotation=rotation)
    path = write_images(tmp_path / f"clip{suffix}", [disc(*size, aspect)] * 16, style)
    video = decode(path, SIXTEEN)
    image = first_image(video)
    width, height = shown if not rotation else shown[::-1]
    assert image.shape == (height, width, 3)
    assert (video.facts["width"], video.facts["height"]) == (width, height)
    assert video.facts["sample_aspect_ratio"] == f"{aspect.numerator}:{aspect.denominator}"
    wide, high = extent(image)
    assert abs(wide - high) <= 3


@pytest.mark.parametrize(
    "aspect", [Fraction(100, 101), Fraction(1000, 1001), Fraction(5), Fraction(1, 9)]
)
def test_rounding_errors_and_absurd_ratios_are_ignored(aspect: Fraction, tmp_path: Path) -> None:
    style = ClipStyle(aspect=aspect)
    plain = write_clip(tmp_path / "plain.mp4", 16)
    video = decode(write_clip(tmp_path / "clip.mp4", 16, style), SIXTEEN)
    np.testing.assert_array_equal(first_image(video), first_image(decode(plain, SIXTEEN)))
    assert "sample_aspect_ratio" not in video.facts


@given(
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.fractions(Fraction(1, 8), 8, max_denominator=4000),
    st.integers(1, 1 << 24),
)
def test_no_pixel_is_lost_unless_there_would_be_too_many(
    width: int, height: int, ratio: Fraction, limit: int
) -> None:
    wide, high = square_size(width, height, ratio, NO_LIMIT)
    assert wide >= width and high >= height
    assert wide == width or high == height
    if (wide, high) != (width, height):
        assert abs(wide - high * width * ratio / height) <= max(1, width * ratio / height)
    limited = square_size(width, height, ratio, max(limit, width * height))
    assert limited[0] * limited[1] <= max(limit, width * height) + max(width, height)
    assert min(limited) >= 1


@pytest.mark.parametrize("ratio", [Fraction(0), Fraction(-1), Fraction(1)])
def test_without_a_ratio_the_size_is_kept(ratio: Fraction) -> None:
    assert square_size(640, 480, ratio, NO_LIMIT) == (640, 480)


def test_a_change_of_the_pixel_shape_is_followed(tmp_path: Path) -> None:
    style = replace(STYLES["h264.ts"], size=(96, 96))
    first = write_clip(tmp_path / "first.ts", 20, style)
    wide = replace(style, aspect=Fraction(2), container={"output_ts_offset": "0.8"})
    second = write_clip(tmp_path / "second.ts", 20, wide)
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    video = decode(path, SIXTEEN)
    assert video.frames is not None
    shapes = [image.shape for image in video.frames.images_rgb]
    assert set(shapes) == {(96, 96, 3), (96, 192, 3)}
    assert shapes == sorted(shapes)


def test_a_phone_that_turns_gives_frames_of_two_shapes(tmp_path: Path) -> None:
    upright = write_clip(tmp_path / "upright.ts", 20, replace(STYLES["h264.ts"], size=(48, 80)))
    later = {"output_ts_offset": "0.8"}
    lying = replace(STYLES["h264.ts"], size=(80, 48), container=later)
    path = tmp_path / "turned.ts"
    second = write_clip(tmp_path / "lying.ts", 20, lying)
    path.write_bytes(upright.read_bytes() + second.read_bytes())
    video = decode(path, SIXTEEN)
    assert video.frames is not None
    images = video.frames.images_rgb
    assert [image.shape[:2] for image in images] == [(80, 48)] * 8 + [(48, 80)] * 8
    assert [number_in(image) for image in images] == [n % 20 for n in video.frames.frame_index]
    assert (video.facts["width"], video.facts["height"]) == (48, 80)
    for image in images:
        expected = numbered(number_in(image), image.shape[1::-1])
        assert np.abs(image.astype(int) - expected).mean() < 12


@pytest.mark.parametrize("inside", ["1/1", "0/1", "3/1"])
def test_the_container_decides_the_shape_of_the_pixels(inside: str, tmp_path: Path) -> None:
    style = ClipStyle(aspect=Fraction(2))
    path = write_clip(tmp_path / "clip.mp4", 16, style)
    bsf = f"h264_metadata=sample_aspect_ratio={inside}"
    video = decode(filtered(path, tmp_path / "other.mp4", bsf), SIXTEEN)
    assert video.frames is not None
    assert {image.shape for image in video.frames.images_rgb} == {(48, 128, 3)}


def test_a_rotation_that_changes_is_followed(tmp_path: Path) -> None:
    first = write_clip(tmp_path / "first.ts", 20)
    later = ClipStyle(container={"output_ts_offset": "0.8"})
    second = write_clip(tmp_path / "second.ts", 20, later)
    turned = filtered(
        second, tmp_path / "turned.ts", "h264_metadata=rotate=90:display_orientation=insert"
    )
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + turned.read_bytes())
    video = decode(path, SIXTEEN)
    assert video.frames is not None
    images = video.frames.images_rgb
    assert [image.shape for image in images] == [(48, 64, 3)] * 8 + [(64, 48, 3)] * 8
    numbers = [number_in(image) for image in images[:8]]
    numbers += [number_in(np.rot90(image, -1)) for image in images[8:]]
    assert numbers == [index % 20 for index in video.frames.frame_index]
