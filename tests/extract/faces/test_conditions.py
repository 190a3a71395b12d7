"""The recording conditions of a clip."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import make_record

from deepfake_seq.augment.degradation import blur, h264, jpeg
from deepfake_seq.extract.faces.conditions import (
    conditions_of,
    file_conditions,
    picture_conditions,
)
from deepfake_seq.store import SourceFile

Image = npt.NDArray[np.uint8]

pictures = st.builds(
    lambda seed, side: picture(seed, side), st.integers(0, 2**20), st.integers(64, 200)
)


def picture(seed: int, side: int = 128) -> Image:
    """Draw smooth shapes with fine texture and a little noise, as in a photograph."""
    generator = np.random.default_rng(seed)
    image = np.full((side, side, 3), 120.0, dtype=np.float32)
    for cells, strength in ((4, 45), (12, 18), (side // 3, 8)):
        layer = generator.standard_normal((cells, cells, 3)).astype(np.float32)
        image += strength * cv2.resize(layer, (side, side), interpolation=cv2.INTER_CUBIC)
    image += generator.normal(0, 1.0, image.shape)
    return image.clip(0, 255).astype(np.uint8)


def with_noise(image: Image, sigma: float) -> Image:
    noise = np.random.default_rng(1).normal(0, sigma, image.shape)
    return (image + noise).clip(0, 255).round().astype(np.uint8)


@given(pictures)
@settings(max_examples=25, deadline=None)
def test_a_blurred_picture_is_less_sharp(image: Image) -> None:
    levels = [[image], *(blur([image], sigma) for sigma in (0.01, 0.02, 0.04))]
    values = [picture_conditions(level)["sharpness"] for level in levels]
    # Grey levels are whole numbers; strong blur leaves the rounding errors.
    assert all(later <= earlier + 0.002 for earlier, later in pairwise(values))
    assert values[0] > values[-1]


@given(pictures)
@settings(max_examples=25, deadline=None)
def test_stronger_compression_lowers_the_quality_and_shows_more_blocks(image: Image) -> None:
    levels = [picture_conditions(jpeg([image], quality)) for quality in (90, 60, 30, 10)]
    quality, blocks = ([level[name] for level in levels] for name in ("quality", "blockiness"))
    assert quality == sorted(quality, reverse=True) and quality[0] > quality[-1]
    assert blocks == sorted(blocks) and blocks[0] < blocks[-1]


@given(pictures)
@settings(max_examples=25, deadline=None)
def test_more_noise_is_measured_as_more_noise(image: Image) -> None:
    values = [picture_conditions([with_noise(image, sigma)])["noise"] for sigma in (0, 4, 8, 16)]
    assert values == sorted(values) and values[0] < values[-1]
    assert values[-1] == pytest.approx(16, rel=0.5)


def test_blocks_are_found_wherever_the_crop_begins() -> None:
    (coded,) = jpeg([picture(1, 160)], 30)
    shifted = picture_conditions([np.ascontiguousarray(coded[3:147, 5:149])])
    assert shifted["blockiness"] == pytest.approx(picture_conditions([coded])["blockiness"], 0.2)
    assert shifted["quality"] == pytest.approx(picture_conditions([coded])["quality"], abs=10)


def test_strong_video_compression_shows_more_blocks() -> None:
    images = [picture(seed, 160) for seed in range(4)]
    light, strong = (picture_conditions(h264(images, crf))["blockiness"] for crf in (20, 45))
    assert light < strong


def test_identical_crops_have_identical_conditions() -> None:
    image = picture(2)
    assert picture_conditions([image]) == picture_conditions([image.copy()] * 5)


@pytest.mark.parametrize("side", [1, 2, 9, 17, 300])
def test_a_uniform_crop_of_any_size_has_conditions(side: int) -> None:
    values = picture_conditions([np.full((side, side, 3), 90, np.uint8)])
    assert values["sharpness"] == values["noise"] == values["contrast"] == 0
    assert values["brightness"] == 90


def test_bits_per_pixel_need_all_facts_of_the_file() -> None:
    facts = {"fps": 29.97, "width": 100, "height": 50, "frames_total": 10}
    assert file_conditions(facts, 62_500) == {"fps": 29.97, "bits_per_pixel": 10.0}
    assert file_conditions({"fps": 0, "width": "wide", "height": 50}, 62_500) == {}
    assert file_conditions(facts, 0) == {"fps": 29.97}


def test_a_clip_is_described_by_its_face_and_its_file() -> None:
    record = make_record(source=SourceFile(1000, 1, "0" * 64))
    values = conditions_of(record, [picture(3)] * 16)
    assert values["face_pixels"] == round(record.face_pixels, 1)
    assert conditions_of(make_record(valid=0), []) == {}
