"""The face cache: it stores crops, from which features are extracted without the videos."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from clips import write_clip, write_images
from decoding import DecodersHere

from deepfake_seq.config import (
    BACKBONES,
    BackboneConfig,
    ExecutionConfig,
    ExtractConfig,
    FaceConfig,
    SamplingConfig,
    ViewsConfig,
)
from deepfake_seq.datasets import FAKE, REAL, VideoItem
from deepfake_seq.datasets.finetune_overlap import FinetuneOverlap
from deepfake_seq.errors import FingerprintMismatchError, StoreError, UsageError
from deepfake_seq.extract import extractor, pipeline
from deepfake_seq.extract.backbones.outputs import Inputs
from deepfake_seq.extract.backbones.table import BACKBONE_TABLE
from deepfake_seq.extract.faces import Face, image_codec
from deepfake_seq.extract.options import NO_OPTIONS, ExtractOptions
from deepfake_seq.extract.pipeline import Summary
from deepfake_seq.extract.records.from_faces import cached_items
from deepfake_seq.extract.resolve import resolve, resolve_cached
from deepfake_seq.extract.video.decode import DecodedVideo, Span
from deepfake_seq.extract.writers import StoreWriters
from deepfake_seq.store import (
    FaceRecord,
    FaceStore,
    FaceStoreWriter,
    FeatureRecord,
    FeatureStore,
    StoreDescription,
    faces_of,
    open_faces,
)

Images = npt.NDArray[np.uint8]

CONFIG = ExtractConfig(
    sampling=SamplingConfig(frames=4),
    faces=FaceConfig(detector="mtcnn"),
    backbone=BackboneConfig("vgg16", "untrained"),
)
KEPT = ExtractOptions(keep_faces=True)
VIEWS = ViewsConfig(augment="real", views=2, self_blend=1)


class PixelCnn:
    """Computes features that depend on every pixel of a crop."""

    batch = 6
    cells = None

    def __init__(self, width: int) -> None:
        self._width = width

    def rows(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        crops_rgb = inputs["crops_rgb"]
        rows = crops_rgb.reshape(len(crops_rgb), -1).astype(np.float64)
        columns = np.cos(np.outer(np.arange(1, 9), np.arange(rows.shape[1])))
        # One crop at a time, so that rounding does not depend on the size of the batch.
        features = np.array([columns @ row for row in rows]) / 1e3
        return np.tile(features.astype(np.float32), (1, self._width // 8))


class BrightFaces:
    """Finds a face in proportion to the image in each bright image; two in wide images."""

    def detect(self, images_rgb: Images) -> list[list[Face]]:
        return [self._in(image) for image in images_rgb]

    def _in(self, image: Images) -> list[Face]:
        if image.mean() < 20:
            return []
        height, width = image.shape[:2]
        lefts = [0.1] if width < 2 * height else [0.1, 0.6]
        return [self._face(left * width, 0.2 * height, 0.5 * height) for left in lefts]

    def _face(self, left: float, top: float, side: float) -> Face:
        marks = np.float32([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
        corner = np.float32([left, top])
        box = np.float32([left, top, left + 0.8 * side, top + side])
        return Face(box, 0.9, corner + marks * np.float32([0.8 * side, side]))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode in this process, with a fake detector and a fast fake CNN."""
    monkeypatch.setattr(extractor, "Decoders", DecodersHere)
    monkeypatch.setattr(extractor, "build_detector", lambda *_: BrightFaces())

    def build_runtime(
        runtime: str,
        config: BackboneConfig,
        weights: Path | None,
        outputs: Sequence[str],
        ranges: object,
    ) -> PixelCnn:
        return PixelCnn(BACKBONE_TABLE[config.name].width)

    monkeypatch.setattr("deepfake_seq.extract.evidence.evidence.build_runtime", build_runtime)


def moving(folder: Path, name: str, size: tuple[int, int], seed: int) -> Path:
    """Write a clip of moving coloured shapes."""
    generator = np.random.default_rng(seed)
    small = generator.integers(60, 256, (9, 16, 3), dtype=np.uint8)
    images = [
        cv2.resize(np.roll(small, step, axis=1), size, interpolation=cv2.INTER_CUBIC)
        for step in range(8)
    ]
    return write_images(folder / name, images)


@pytest.fixture
def videos(tmp_path: Path) -> list[VideoItem]:
    """Two clips of different sizes with a face, one without, and a file that is not a video."""
    folder = tmp_path / "videos"
    folder.mkdir()
    moving(folder, "a.mp4", (96, 128), 1)
    moving(folder, "b.mp4", (320, 240), 2)
    write_clip(folder / "dark.mp4", 1)
    (folder / "none.mp4").write_text("no video")
    labels = {"a": REAL, "b": FAKE, "dark": REAL, "none": FAKE}
    return [
        VideoItem(folder / f"{name}.mp4", f"{name}.mp4", label, groups=(name,))
        for name, label in labels.items()
    ]


Extract = Callable[..., Summary]


@pytest.fixture
def extract(tmp_path: Path) -> Extract:
    """Extract videos into the store named `name`."""

    def extract(
        items: list[VideoItem],
        name: str,
        config: ExtractConfig = CONFIG,
        extract_options: ExtractOptions = NO_OPTIONS,
        retry_failed: bool = False,
    ) -> Summary:
        resolved = resolve(config, extract_options)
        with StoreWriters.create(tmp_path / name, resolved) as writers:
            return pipeline.extract(
                items, resolved, writers, ExecutionConfig(workers=1), retry_failed=retry_failed
            )

    return extract


@pytest.fixture
def from_faces(tmp_path: Path) -> Extract:
    """Extract the videos of a face cache into the store named `name`."""

    def from_faces(
        faces: str,
        name: str,
        backbone: BackboneConfig = CONFIG.backbone,
        extract_options: ExtractOptions = NO_OPTIONS,
    ) -> Summary:
        store = open_faces(tmp_path / faces)
        resolved = resolve_cached(store, backbone, extract_options)
        with StoreWriters.create(tmp_path / name, resolved) as writers:
            items = cached_items(store, resolved.config.faces.people == "all")
            return pipeline.extract(items, resolved, writers, ExecutionConfig(workers=1))

    return from_faces


def records(tmp_path: Path, name: str) -> list[FeatureRecord]:
    return list(FeatureStore.open(tmp_path / name))


def assert_same(tmp_path: Path, one: str, other: str) -> None:
    ones, others = records(tmp_path, one), records(tmp_path, other)
    assert [record.video_id for record in ones] == [record.video_id for record in others]
    assert all(first.same_content(second) for first, second in zip(ones, others, strict=True))


@pytest.mark.parametrize("name", BACKBONES)
def test_another_cnn_gives_the_same_features_from_faces_as_from_videos(
    name: str, videos: list[VideoItem], extract: Extract, from_faces: Extract, tmp_path: Path
) -> None:
    extract(videos, "first", extract_options=KEPT)
    other = BackboneConfig(name, "untrained")
    extract(videos, "from-videos", replace(CONFIG, backbone=other))
    summary = from_faces("first", "from-faces", other)
    assert (summary.videos, summary.ok, summary.failed) == (4, 2, 2)
    assert_same(tmp_path, "from-videos", "from-faces")
    one, two = (
        FeatureStore.open(tmp_path / "from-videos"),
        FeatureStore.open(tmp_path / "from-faces"),
    )
    assert one.fingerprint.id == two.fingerprint.id
    assert one["a.mp4"].features[0].any()


def test_lossless_formats_keep_every_pixel(
    videos: list[VideoItem], extract: Extract, tmp_path: Path
) -> None:
    extract(videos, "webp", extract_options=KEPT)
    png = replace(CONFIG, faces=replace(CONFIG.faces, image_format="png"))
    extract(videos, "png", png, KEPT)
    one, other = (open_faces(tmp_path / name) for name in ("webp", "png"))
    for name in ("a.mp4", "b.mp4"):
        first, second = (
            image_codec.decode(one[name].encoded),
            image_codec.decode(other[name].encoded),
        )
        assert len(first) == 4
        for image, same in zip(first, second, strict=True):
            assert image.shape[0] == image.shape[1] > 32
            np.testing.assert_array_equal(image, same)
    assert bytes(one["a.mp4"].encoded[0]) != bytes(other["a.mp4"].encoded[0])


def test_lossy_faces_give_the_same_features_as_their_extraction(
    videos: list[VideoItem], extract: Extract, from_faces: Extract, tmp_path: Path
) -> None:
    lossy = replace(CONFIG, faces=replace(CONFIG.faces, image_format="jpeg"))
    extract(videos, "plain")
    extract(videos, "lossy", lossy, KEPT)
    from_faces("lossy", "again")
    assert_same(tmp_path, "lossy", "again")
    one, other = (FeatureStore.open(tmp_path / name)["a.mp4"] for name in ("plain", "lossy"))
    assert not np.array_equal(one.features, other.features)
    with pytest.raises(FingerprintMismatchError, match=r"faces\.image_format"):
        extract(videos, "plain", lossy)


def test_failures_are_stored_in_the_face_cache(
    videos: list[VideoItem], extract: Extract, from_faces: Extract, tmp_path: Path
) -> None:
    extract(videos, "first", extract_options=KEPT)
    summary = from_faces("first", "again")
    statuses = {failure.video_id: failure.status for failure in summary.failures}
    assert statuses == {"dark.mp4": "no_face", "none.mp4": "decode_error"}
    store = open_faces(tmp_path / "first")
    assert (store["dark.mp4"].status, store["dark.mp4"].frames_valid) == ("no_face", 0)


def test_all_people_of_a_video_are_stored(
    tmp_path: Path, extract: Extract, from_faces: Extract
) -> None:
    path = moving(tmp_path, "wide.mp4", (320, 120), 3)
    everyone = replace(CONFIG, faces=replace(CONFIG.faces, people="all"))
    extract([VideoItem(path, "wide.mp4", REAL)], "first", everyone, KEPT)
    assert open_faces(tmp_path / "first").video_ids == ["wide.mp4#0", "wide.mp4#1"]
    summary = from_faces("first", "again")
    assert (summary.videos, summary.ok) == (1, 1)
    assert_same(tmp_path, "first", "again")


def test_no_person_is_lost_when_the_cache_is_rewritten_while_it_is_read(
    tmp_path: Path, extract: Extract, from_faces: Extract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another thread reads the cache again, the ids of its records are missing."""
    path = moving(tmp_path, "wide.mp4", (320, 120), 3)
    everyone = replace(CONFIG, faces=replace(CONFIG.faces, people="all"))
    extract([VideoItem(path, "wide.mp4", REAL)], "first", everyone, KEPT)
    decode, contains = image_codec.decode, FaceStore.__contains__
    is_rewritten = threading.Event()

    def decode_while_rewritten(files: Sequence[npt.NDArray[np.uint8]]) -> image_codec.Images:
        is_rewritten.set()
        return decode(files)

    monkeypatch.setattr(image_codec, "decode", decode_while_rewritten)
    monkeypatch.setattr(
        FaceStore,
        "__contains__",
        lambda store, name: not is_rewritten.is_set() and contains(store, name),
    )
    from_faces("first", "again")
    monkeypatch.undo()
    assert FeatureStore.open(tmp_path / "again").video_ids == ["wide.mp4#0", "wide.mp4#1"]


def test_a_second_run_skips_every_video(
    videos: list[VideoItem], extract: Extract, from_faces: Extract
) -> None:
    extract(videos, "first", extract_options=KEPT)
    assert extract(videos, "first", extract_options=KEPT).skipped == 4
    from_faces("first", "again")
    assert from_faces("first", "again").skipped == 4


def test_faces_requested_later_are_added(
    videos: list[VideoItem], extract: Extract, tmp_path: Path
) -> None:
    extract(videos, "first")
    before = records(tmp_path, "first")
    assert extract(videos, "first", extract_options=KEPT).skipped == 0
    assert len(open_faces(tmp_path / "first")) == 4
    for record, after in zip(before, records(tmp_path, "first"), strict=True):
        assert record.same_content(after)


def test_a_changed_video_gets_new_faces(
    videos: list[VideoItem], extract: Extract, from_faces: Extract, tmp_path: Path
) -> None:
    extract(videos, "first", extract_options=KEPT)
    from_faces("first", "again")
    before = open_faces(tmp_path / "first")["a.mp4"].sha256
    moving(videos[0].path.parent, "a.mp4", (96, 128), 7)
    assert extract(videos, "first", extract_options=KEPT).skipped == 3
    assert open_faces(tmp_path / "first")["a.mp4"].sha256 != before
    assert from_faces("first", "again").skipped == 3
    assert_same(tmp_path, "first", "again")


def test_new_labels_are_written_to_faces_and_features(
    videos: list[VideoItem], extract: Extract, from_faces: Extract, tmp_path: Path
) -> None:
    extract(videos, "first", extract_options=KEPT)
    from_faces("first", "again")
    relabelled = [replace(videos[0], label=FAKE, method="Deepfakes"), *videos[1:]]
    assert extract(relabelled, "first", extract_options=KEPT).relabelled == 1
    faces = open_faces(tmp_path / "first")["a.mp4"]
    assert (faces.label, faces.facts["method"]) == (FAKE, "Deepfakes")
    assert from_faces("first", "again").relabelled == 1
    assert_same(tmp_path, "first", "again")


def test_a_damaged_face_record_ends_the_run_with_its_name(
    videos: list[VideoItem], extract: Extract, from_faces: Extract, tmp_path: Path
) -> None:
    extract(videos[:1], "first", extract_options=KEPT)
    (shard,) = faces_of(tmp_path / "first").glob("*.h5")
    images = bytes(open_faces(tmp_path / "first")["a.mp4"].images)
    content = bytearray(shard.read_bytes())
    content[content.index(images) + 100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(StoreError, match=r"a\.mp4: .* is damaged"):
        from_faces("first", "again")
    assert not len(FeatureStore.open(tmp_path / "again"))


def test_views_from_faces_equal_views_from_videos(
    videos: list[VideoItem], extract: Extract, from_faces: Extract, tmp_path: Path
) -> None:
    extract(videos, "first", extract_options=ExtractOptions(True, VIEWS))
    from_faces("first", "again", extract_options=ExtractOptions(views=VIEWS))
    assert_same(tmp_path, "first", "again")
    names = [record.video_id for record in records(tmp_path, "first")]
    views = ["a.mp4@blend1", "a.mp4@view1", "a.mp4@view2"]
    assert names == ["a.mp4", *views, "b.mp4", "dark.mp4", "none.mp4"]
    store = FeatureStore.open(tmp_path / "first")
    assert [store[name].label for name in views] == [FAKE, REAL, REAL]
    assert {store[name].source for name in views} == {store["a.mp4"].source}
    assert len({store[name].sha256 for name in ["a.mp4", *views]}) == 4
    assert open_faces(tmp_path / "first").video_ids == ["a.mp4", "b.mp4", "dark.mp4", "none.mp4"]


def test_views_requested_later_or_with_other_settings_are_made(
    videos: list[VideoItem], extract: Extract, tmp_path: Path
) -> None:
    extract(videos, "first")
    assert extract(videos, "first", extract_options=ExtractOptions(views=VIEWS)).skipped == 3
    before = FeatureStore.open(tmp_path / "first")["a.mp4@view1"].features
    assert extract(videos, "first", extract_options=ExtractOptions(views=VIEWS)).skipped == 4
    assert (
        extract(
            videos, "first", extract_options=ExtractOptions(views=replace(VIEWS, seed=1))
        ).skipped
        == 3
    )
    after = FeatureStore.open(tmp_path / "first")["a.mp4@view1"].features
    assert not np.array_equal(before, after)
    assert extract(videos, "first").skipped == 4  # existing views are kept


def test_views_of_an_older_version_of_the_video_are_emptied(
    videos: list[VideoItem], extract: Extract, tmp_path: Path
) -> None:
    extract(videos, "first", extract_options=ExtractOptions(views=VIEWS))
    moving(videos[0].path.parent, "a.mp4", (96, 128), 7)
    extract(videos, "first")
    for name in ("a.mp4@view1", "a.mp4@view2", "a.mp4@blend1"):
        record = FeatureStore.open(tmp_path / "first")[name]
        assert record.failed and "older version" in record.reason


def test_self_blending_whole_frames_is_refused() -> None:
    config = replace(CONFIG, faces=FaceConfig(detector="none"))
    with pytest.raises(UsageError, match="--self-blend"):
        resolve(config, ExtractOptions(views=ViewsConfig(self_blend=1)))


def test_records_name_the_split_in_which_a_finetuned_cnn_saw_their_clip(
    videos: list[VideoItem], extract: Extract, tmp_path: Path
) -> None:
    extract(videos, "plain")
    digest = FeatureStore.open(tmp_path / "plain")["a.mp4"].source.sha256
    clips = FinetuneOverlap({digest: "train"}, frozenset({"a.mp4"}), frozenset({"b"}))
    extract(videos, "finetuned", extract_options=ExtractOptions(views=VIEWS, cnn_clips=clips))
    store = FeatureStore.open(tmp_path / "finetuned")
    splits = {record.video_id: record.facts["cnn_part"] for record in store}
    assert splits["a.mp4"] == splits["a.mp4@view1"] == splits["a.mp4@blend1"] == "train"
    assert (splits["b.mp4"], splits["dark.mp4"]) == ("related", "unseen")


def test_a_feature_store_is_refused_as_a_face_cache(
    videos: list[VideoItem], extract: Extract, tmp_path: Path
) -> None:
    extract(videos[:1], "first")
    with pytest.raises(StoreError, match="--keep-faces"):
        open_faces(tmp_path / "first")
    with pytest.raises(StoreError):
        FaceStore.open(tmp_path / "first")


def commit_faces(features: Path, record: FaceRecord) -> None:
    """Commit a record to the face cache of a feature store."""
    description = resolve(CONFIG).faces_description
    with FaceStoreWriter.create(faces_of(features), description) as writer:
        writer.commit(record)


class Slow(DecodersHere):
    """Times out on every video."""

    def decode(self, path: Path, span: Span | None = None) -> DecodedVideo:
        source = super().decode(path, span).source
        return DecodedVideo(None, "timeout", "took too long", source, transient=True)


def test_a_later_failure_does_not_replace_existing_features(
    videos: list[VideoItem], extract: Extract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(videos[:1], "first", extract_options=ExtractOptions(views=VIEWS))
    before = records(tmp_path, "first")
    with monkeypatch.context() as patch:
        patch.setattr(extractor, "Decoders", Slow)
        assert extract(videos[:1], "first", extract_options=ExtractOptions(True, VIEWS)).failed == 1
    for record, after in zip(before, records(tmp_path, "first"), strict=True):
        assert record.sha256 == after.sha256
    assert extract(videos[:1], "first", extract_options=ExtractOptions(True, VIEWS)).ok == 1
    assert len(open_faces(tmp_path / "first")) == 1


def test_faces_too_large_for_the_cache_still_give_features(
    videos: list[VideoItem], extract: Extract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(videos[:2], "plain")
    monkeypatch.setattr(image_codec, "MAX_SIDE", 100)  # of 83 and 156 pixels
    extract(videos[:2], "kept", extract_options=KEPT)
    assert_same(tmp_path, "plain", "kept")
    store = open_faces(tmp_path / "kept")
    assert [store[name].status for name in store.video_ids] == ["ok", "rejected"]
    assert "limit of the face cache, 100" in store["b.mp4"].reason


def test_people_missing_from_the_changed_video_are_emptied_even_after_a_crash(
    tmp_path: Path, extract: Extract
) -> None:
    everyone = replace(CONFIG, faces=replace(CONFIG.faces, people="all"))
    item = VideoItem(moving(tmp_path, "w.mp4", (320, 120), 3), "w.mp4", REAL)
    extract([item], "whole", everyone)
    resolved = resolve(everyone)
    with StoreWriters.create(
        tmp_path / "store", resolved
    ) as writers:  # the first person comes last
        writers.features.commit(FeatureStore.open(tmp_path / "whole")["w.mp4#1"])
    moving(tmp_path, "w.mp4", (96, 128), 4)
    extract([item], "store", everyone)
    store = FeatureStore.open(tmp_path / "store")
    assert (store["w.mp4#0"].status, store["w.mp4#1"].status) == ("ok", "no_face")
    assert extract([item], "store", everyone, KEPT).ok == 1
    assert extract([item], "store", everyone, KEPT).skipped == 1


def test_an_undecodable_image_only_fails_its_video(
    videos: list[VideoItem], extract: Extract, from_faces: Extract, tmp_path: Path
) -> None:
    extract(videos[:2], "first", extract_options=KEPT)
    bad = open_faces(tmp_path / "first")["a.mp4"]
    commit_faces(tmp_path / "first", replace(bad, images=np.zeros_like(bad.images)))
    summary = from_faces("first", "again")
    assert (summary.ok, summary.failed) == (1, 1)
    (failure,) = summary.failures
    assert (failure.video_id, failure.status) == ("a.mp4", "rejected")
    assert "cannot be read" in failure.reason


@pytest.mark.parametrize("facts", [{}, {"width": "9", "height": 9}, {"width": 9, "height": -1}])
def test_faces_without_a_valid_frame_size_are_rejected(
    facts: dict[str, Any],
    videos: list[VideoItem],
    extract: Extract,
    from_faces: Extract,
    tmp_path: Path,
) -> None:
    extract(videos[:1], "first", extract_options=KEPT)
    record = replace(open_faces(tmp_path / "first")["a.mp4"], facts=facts, frame_size=None)
    commit_faces(tmp_path / "first", record)
    assert from_faces("first", "again", extract_options=ExtractOptions(views=VIEWS)).by_status == {
        "rejected": 1
    }


def test_images_that_exceed_the_memory_limit_are_not_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = image_codec.encode([np.zeros((100, 100, 3), np.uint8)] * 3, "png")
    assert len(image_codec.decode(files)) == 3
    monkeypatch.setattr(image_codec, "MAX_IMAGES", 2 * 30_000)
    with pytest.raises(StoreError, match="exceed 60000 bytes"):
        image_codec.decode(files)


@pytest.mark.parametrize("values", [{}, {"faces": {}}, {"faces": {"people": 3}}])
def test_a_face_cache_without_extraction_settings_is_refused(
    values: dict[str, Any], tmp_path: Path
) -> None:
    description = StoreDescription(resolve(CONFIG).faces_fingerprint, values, kind="faces")
    with FaceStoreWriter.create(tmp_path / "faces", description) as writer:
        writer.claim("")
    with pytest.raises(StoreError, match="lacks valid extraction settings"):
        resolve_cached(FaceStore.open(tmp_path / "faces"), CONFIG.backbone)


def test_who_is_named_later_changes_how_a_tuned_cnn_knows_the_clip(
    videos: list[VideoItem], extract: Extract, tmp_path: Path
) -> None:
    clips = FinetuneOverlap({}, frozenset(), frozenset({"alice"}))
    extract_options = ExtractOptions(views=VIEWS, cnn_clips=clips)
    extract(videos[:1], "finetuned", extract_options=extract_options)
    named = [replace(videos[0], groups=("alice",))]
    assert extract(named, "finetuned", extract_options=extract_options).relabelled == 1
    splits = {record.facts["cnn_part"] for record in records(tmp_path, "finetuned")}
    assert splits == {"related"}


def test_videos_and_cached_faces_have_the_same_conditions(
    videos: list[VideoItem], extract: Extract, from_faces: Extract, tmp_path: Path
) -> None:
    extract(videos, "first", extract_options=KEPT)
    from_faces("first", "again")
    assert_same(tmp_path, "first", "again")
    by_name = {record.video_id: record for record in records(tmp_path, "again")}
    conditions = by_name["a.mp4"].facts["conditions"]
    assert conditions == FeatureStore.open(tmp_path / "first")["a.mp4"].facts["conditions"]
    assert conditions["face_pixels"] == round(by_name["a.mp4"].face_pixels, 1)
    assert conditions["sharpness"] > 0 and conditions["fps"] == 25
    assert "conditions" not in by_name["dark.mp4"].facts


def test_a_view_does_not_have_the_conditions_of_its_clip(
    videos: list[VideoItem], extract: Extract, tmp_path: Path
) -> None:
    extract(videos, "first", extract_options=ExtractOptions(views=VIEWS))
    described = {
        record.video_id: "conditions" in record.facts for record in records(tmp_path, "first")
    }
    assert described["a.mp4"] and not described["a.mp4@view1"]
