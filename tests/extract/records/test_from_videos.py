"""Records of decoded videos, with fake decoders, detectors and CNNs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from mean_cnn import MeanCnn, features_of

from deepfake_seq.config import (
    BackboneConfig,
    ExecutionConfig,
    ExtractConfig,
    FaceConfig,
    SamplingConfig,
)
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.extractor import Extractor
from deepfake_seq.extract.faces import Face, FaceDetector
from deepfake_seq.extract.records.from_videos import VideoCropSource
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.extract.video.decode import DecodedVideo, SampledFrames, Span
from deepfake_seq.face_regions import REGIONS
from deepfake_seq.store import FeatureRecord, SourceFile

WIDTH = 512  # of VGG16, the narrowest
CONFIG = ExtractConfig(
    sampling=SamplingConfig(frames=6),
    faces=FaceConfig(detector="none"),
    backbone=BackboneConfig("vgg16", "untrained"),
)
EVERYONE = replace(CONFIG, faces=FaceConfig("none", people="all"))
ITEM = VideoItem(Path("a/b.mp4"), "b.mp4", label=1, groups=("person",), split="train")
MASKED = replace(ITEM, mask_path=Path("a/masks/b.mp4"))
SOURCE = SourceFile(1234, 5678, "ab" * 32)


class GreyLevelDetector:
    """Finds a face in each image, further right in brighter ones; none at levels in `blind`."""

    def __init__(self, *blind: int) -> None:
        self._blind = blind

    def detect(self, images_rgb: npt.NDArray[np.uint8]) -> list[list[Face]]:
        return [self._one(int(image[0, 0, 0])) for image in images_rgb]

    def _one(self, level: int) -> list[Face]:
        if level in self._blind:
            return []
        box = np.array([level, 20, level + 40, 60], dtype=np.float32)
        return [Face(box, level / 100)]


class TwoPeople:
    """Finds a small and a large face in each image."""

    def detect(self, images_rgb: npt.NDArray[np.uint8]) -> list[list[Face]]:
        small, large = ([80, 5, 100, 25], [10, 20, 70, 80])
        return [
            [Face(np.array(box, np.float32), 0.9) for box in (small, large)] for _ in images_rgb
        ]


def mean_features(crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Each feature is the crop's mean grey level."""
    assert crops_rgb.shape[1:] == (224, 224, 3)
    means = crops_rgb.mean(axis=(1, 2, 3), dtype=np.float32)
    return np.repeat(means[:, None], WIDTH, axis=1)


class Ready:
    """Replaces decoders: returns a decoded video."""

    workers = 1

    def __init__(self, video: DecodedVideo, masks: SampledFrames | None = None) -> None:
        self._video = video
        self._masks = masks

    def decode(self, path: Path, span: Span | None = None) -> DecodedVideo:
        return self._video

    def frames_at(self, path: Path, positions: list[int]) -> SampledFrames | None:
        if self._masks is None or path != MASKED.mask_path:
            return None
        kept = np.isin(self._masks.frame_index, positions)
        images = [image for image, keep in zip(self._masks.images_rgb, kept, strict=True) if keep]
        return SampledFrames(images, self._masks.frame_index[kept], self._masks.pts_seconds[kept])


def video_of(levels: list[int], status: str = "ok", reason: str = "") -> DecodedVideo:
    """Plain frames of these grey levels: every third frame of a video at 10 frames per second."""
    images = [np.full((100, 120, 3), level, np.uint8) for level in levels]
    index = 3 * np.arange(len(levels), dtype=np.int64)
    frames = SampledFrames(images, index, index / 10)
    facts = {"fps": 10.0, "frames_total": 3 * len(levels)}
    seconds = np.arange(3 * len(levels)) / 10
    return DecodedVideo(frames, status, reason, SOURCE, facts, timeline_seconds=seconds)


def records_of(
    video: DecodedVideo, detector: FaceDetector, config: ExtractConfig = CONFIG
) -> list[FeatureRecord]:
    decoders: Any = Ready(video)
    evidence = features_of(MeanCnn())
    prepared = VideoCropSource(resolve(config), detector, evidence, decoders).prepare(ITEM)
    return [
        person.to_record({"features": mean_features(person.inputs["crops_rgb"])})
        if person.inputs
        else person.record
        for person in prepared
    ]


def shares_of(masks: SampledFrames | None, *blind: int) -> Any:
    """Return the replaced shares in the record of a video with a mask video."""
    decoders: Any = Ready(video_of([10, 11, 12, 13, 14, 15]), masks)
    evidence = features_of(MeanCnn())
    source = VideoCropSource(resolve(CONFIG), GreyLevelDetector(*blind), evidence, decoders)
    (person,) = source.prepare(MASKED)
    return person.record.facts.get("mask_shares")


def mask_frames(count: int = 18, size: tuple[int, int] = (100, 120)) -> SampledFrames:
    """Return masks in which the lower half of the face, at rows 40 to 66, is white."""
    mask = np.zeros((100, 120, 3), np.uint8)
    mask[40:66] = 255
    image = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST)
    return SampledFrames([image] * count, np.arange(count), np.arange(count) / 10)


def extract(video: DecodedVideo, *blind: int) -> FeatureRecord:
    (record,) = records_of(video, GreyLevelDetector(*blind))
    return record


def test_a_whole_video_fills_every_row() -> None:
    record = extract(video_of([10, 11, 12, 13, 14, 15]))
    assert (record.status, record.reason) == ("ok", "")
    assert record.features.shape == (6, WIDTH)
    assert record.features.dtype == np.float16
    assert record.features[:, 0].tolist() == [10, 11, 12, 13, 14, 15]
    assert record.mask.all()
    assert record.frame_index.tolist() == [0, 3, 6, 9, 12, 15]
    np.testing.assert_allclose(record.pts_seconds, [0.0, 0.3, 0.6, 0.9, 1.2, 1.5])
    assert record.boxes_xyxy[2].tolist() == [12, 20, 52, 60]
    np.testing.assert_allclose(record.scores, [0.10, 0.11, 0.12, 0.13, 0.14, 0.15], rtol=1e-6)


def test_frames_without_the_face_are_left_out_in_order_of_time() -> None:
    record = extract(video_of([10, 11, 12, 13, 14, 15]), 10, 13)
    assert record.status == "ok"
    assert record.mask.tolist() == [True] * 4 + [False] * 2
    assert record.features[:4, 0].tolist() == [11, 12, 14, 15]
    assert record.frame_index[:4].tolist() == [3, 6, 12, 15]
    np.testing.assert_allclose(record.pts_seconds[:4], [0.3, 0.6, 1.2, 1.5])


def test_the_padding_is_zero() -> None:
    record = extract(video_of([10, 11, 12]), 11)
    assert record.mask.tolist() == [True, True, False, False, False, False]
    for array in (record.features, record.pts_seconds, record.boxes_xyxy, record.scores):
        assert not array[2:].any()
    assert record.frame_index[2:].tolist() == [-1] * 4


def test_a_video_without_faces_is_a_failure_with_the_number_of_frames() -> None:
    record = extract(video_of([10, 11, 12]), 10, 11, 12)
    assert record.status == "no_face"
    assert "3 sampled frames" in record.reason
    assert record.failed
    assert not record.mask.any()
    assert not record.features.any()


@pytest.mark.parametrize("status", ["partial", "too_few_frames"])
def test_a_partly_read_video_keeps_its_status(status: str) -> None:
    record = extract(video_of([10, 11, 12], status, "some reason"))
    assert (record.status, record.reason) == (status, "some reason")
    assert record.mask.tolist() == [True] * 3 + [False] * 3


def test_a_broken_video_without_faces_has_both_reasons() -> None:
    record = extract(video_of([10], "partial", "the video ends early"), 10)
    assert record.status == "no_face"
    assert "the video ends early" in record.reason


def test_an_undecodable_file_gives_a_failure_record() -> None:
    record = extract(DecodedVideo(None, "decode_error", "Invalid data", SOURCE))
    assert (record.status, record.reason) == ("decode_error", "Invalid data")
    assert record.failed
    assert record.frame_index.tolist() == [-1] * 6


def test_a_mask_video_gives_the_replaced_share_of_each_region() -> None:
    shares = dict(zip(REGIONS, shares_of(mask_frames()), strict=True))
    assert shares["mouth"] > 0.95 and shares["eyes"] < 0.1
    assert 0.2 < shares["background"] < 0.8
    assert shares_of(mask_frames(), 11, 14) is not None, "frames without the face are left out"


def test_a_mask_video_may_have_another_resolution() -> None:
    assert shares_of(mask_frames(size=(200, 240))) == pytest.approx(shares_of(mask_frames()))


@pytest.mark.parametrize("masks", [None, mask_frames(15)], ids=["unreadable", "too short"])
def test_a_mask_video_that_does_not_fit_leaves_the_regions_unknown(
    masks: SampledFrames | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert shares_of(masks) is None
    assert "b.mp4: the replaced regions are unknown" in caplog.text


def test_labels_and_facts_of_the_video_are_stored() -> None:
    record = extract(video_of([10, 11, 12]), 11)
    assert record.video_id == "b.mp4"
    assert (record.label, record.groups, record.split) == (1, ("person",), "train")
    assert record.source == SOURCE
    facts = dict(record.facts)
    assert facts.pop("conditions")["face_pixels"] == 40
    assert facts == {
        "fps": 10.0,
        "frames_total": 9,
        "frames_sampled": 3,
        "faces_found": 2,
        "faces_filled": 0,
    }


def test_only_the_main_person_has_a_record_by_default() -> None:
    (record,) = records_of(video_of([1, 2, 3, 4, 5, 6]), TwoPeople())
    assert record.boxes_xyxy.tolist() == [[10, 20, 70, 80]] * 6


def test_each_person_has_a_record_if_all_people_are_requested() -> None:
    records = records_of(video_of([1, 2, 3, 4, 5, 6]), TwoPeople(), EVERYONE)
    assert [record.video_id for record in records] == ["b.mp4#0", "b.mp4#1"]
    assert records[0].boxes_xyxy.tolist() == [[10, 20, 70, 80]] * 6
    assert records[1].boxes_xyxy.tolist() == [[80, 5, 100, 25]] * 6
    assert {record.source for record in records} == {SOURCE}


def test_a_video_without_faces_has_one_record_if_all_people_are_requested() -> None:
    for video in (video_of([1]), DecodedVideo(None, "rejected", "a limit", SOURCE)):
        (record,) = records_of(video, GreyLevelDetector(1), EVERYONE)
        assert record.video_id == "b.mp4#0" and record.failed


def test_features_beyond_float16_reject_the_record() -> None:
    decoders: Any = Ready(video_of([10]))
    evidence = features_of(MeanCnn())
    source = VideoCropSource(resolve(CONFIG), GreyLevelDetector(), evidence, decoders)
    (person,) = source.prepare(ITEM)
    record = person.to_record({"features": np.full((1, WIDTH), 1e6, np.float32)})
    assert (record.status, record.mask.any()) == ("rejected", False)
    assert "1000000" in record.reason
    assert np.isfinite(record.features).all() and record.frame_index.tolist() == [-1] * 6


@pytest.mark.slow
def test_a_real_clip_gives_a_record_with_real_components(portrait_clip: Path) -> None:
    config = ExtractConfig(
        faces=FaceConfig(detector="mtcnn"), backbone=BackboneConfig(weights="untrained")
    )
    item = replace(ITEM, path=portrait_clip)
    with Extractor.build(resolve(config), ExecutionConfig(), videos=1) as extractor:
        ((returned, (record,)),) = extractor.records([item])
    assert returned == item
    assert record.status == "ok"
    assert record.frames_valid == 16
    assert record.features.shape == (16, 2048)
    lefts = record.boxes_xyxy[:, 0]
    assert lefts[-1] - lefts[0] == pytest.approx(record.frame_index[-1], abs=6)
