"""The stream of training frames: contents, order and augmentation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from faces import FRAMES, face_clip, face_store, write_faces
from records import write_store

from deepfake_seq.config import FinetuneConfig, ViewsConfig
from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.errors import DatasetError, StoreError
from deepfake_seq.extract.backbones.table import BACKBONE_TABLE
from deepfake_seq.finetune import stream as streaming
from deepfake_seq.finetune.augmentation import identity_row
from deepfake_seq.finetune.faces import FaceData, load_faces
from deepfake_seq.finetune.stream import FrameBatch, FrameStream
from deepfake_seq.store import faces_of

ROW = replace(BACKBONE_TABLE["vgg16"], crop_size=32)
PLAIN = FinetuneConfig(batch_size=16, augmentation=ViewsConfig())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> FaceData:
    return load_faces(face_store(tmp_path_factory.mktemp("faces") / "store", clips=6), ROW)


def stream_of(data: FaceData, config: FinetuneConfig = PLAIN) -> FrameStream:
    return FrameStream(data.faces, data.data, data.frames, config)


def frames_in(batches: list[FrameBatch]) -> list[bytes]:
    """Return every frame with a positive weight."""
    return [
        crop.tobytes()
        for batch in batches
        for crop, weight in zip(batch.crops_rgb, batch.weights, strict=True)
        if weight
    ]


def test_an_epoch_contains_every_frame_once(data: FaceData) -> None:
    stream = stream_of(data)
    batches = list(stream.epoch(1))
    assert stream.frames == 6 * FRAMES and len(batches) == stream.batches == 3
    assert {batch.crops_rgb.shape for batch in batches} == {(16, 32, 32, 3)}
    expected = [crop.tobytes() for row in range(6) for crop in data.faces.read(row)]
    assert sorted(frames_in(batches)) == sorted(expected)


def test_frames_keep_their_label(data: FaceData) -> None:
    labels = {
        crop.tobytes(): clip.label
        for row, clip in enumerate(data.data.clips)
        for crop in data.faces.read(row)
    }
    for batch in stream_of(data).epoch(1):
        assert [labels[crop.tobytes()] for crop in batch.crops_rgb] == batch.labels.tolist()


def test_batches_mix_clips(data: FaceData) -> None:
    for batch in stream_of(data).epoch(1):
        assert 2 < batch.labels.sum() < 14


def test_the_last_batch_is_padded_with_rows_of_weight_0(data: FaceData) -> None:
    batches = list(stream_of(data, replace(PLAIN, batch_size=20)).epoch(1))
    assert [int(np.count_nonzero(batch.weights)) for batch in batches] == [20, 20, 8]
    assert {len(batch.labels) for batch in batches} == {20}


def test_an_epoch_depends_only_on_the_seed_and_its_number(
    data: FaceData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_MIXED", 2)  # several chunks, read by several threads
    views = ViewsConfig(augment="all", self_blend=1, degrade=("jpeg", "blur"))
    config = replace(PLAIN, augmentation=views)

    def epoch(number: int, config: FinetuneConfig = config) -> list[list[bytes]]:
        return [
            [array.tobytes() for array in batch] for batch in stream_of(data, config).epoch(number)
        ]

    assert epoch(1) == epoch(1)
    assert epoch(1) != epoch(2)
    assert epoch(1) != epoch(1, replace(config, seed=1))


def test_all_frames_of_a_clip_are_augmented_alike(data: FaceData) -> None:
    config = replace(PLAIN, augmentation=ViewsConfig(augment="all"))
    draws: dict[bytes, set[bytes]] = {}
    owner = {c.tobytes(): row for row in range(6) for c in data.faces.read(row)}
    for batch in stream_of(data, config).epoch(1):
        for crop, draw in zip(batch.crops_rgb, batch.draws, strict=True):
            draws.setdefault(owner[crop.tobytes()], set()).add(draw.tobytes())
    assert len(draws) == 6
    assert all(len(rows) == 1 for rows in draws.values())
    assert len(set.union(*draws.values())) == 6


@pytest.mark.parametrize(
    ("augment", "changed"), [("none", set()), ("real", {REAL}), ("fake", {FAKE})]
)
def test_only_the_requested_class_is_augmented(
    augment: str, changed: set[int], data: FaceData
) -> None:
    config = replace(PLAIN, augmentation=ViewsConfig(augment=augment))
    plain = identity_row()
    seen = {
        int(label)
        for batch in stream_of(data, config).epoch(1)
        for draw, label in zip(batch.draws, batch.labels, strict=True)
        if not np.array_equal(draw, plain)
    }
    assert seen == changed


def test_self_blended_fakes_are_new_in_every_epoch(data: FaceData) -> None:
    stream = stream_of(data, replace(PLAIN, augmentation=ViewsConfig(self_blend=2)))
    assert stream.frames == (6 + 2 * 3) * FRAMES
    assert (stream.balance.real, stream.balance.fake) == (3 * FRAMES, 9 * FRAMES)
    originals = {crop.tobytes() for row in range(6) for crop in data.faces.read(row)}
    fakes = [set(frames_in(list(stream.epoch(number)))) - originals for number in (1, 2)]
    assert len(fakes[0]) == len(fakes[1]) == 6 * FRAMES
    assert not fakes[0] & fakes[1]


def test_class_weights_count_all_training_frames(data: FaceData) -> None:
    few = data.data.take(np.array([0, 2, 4, 1]))
    stream = FrameStream(data.faces, few, data.frames, replace(PLAIN, batch_size=8))
    weights = {
        int(la): w for b in stream.epoch(1) for la, w in zip(b.labels, b.weights, strict=True)
    }
    assert weights == {REAL: pytest.approx(4 / 6), FAKE: pytest.approx(2.0)}
    stream = FrameStream(data.faces, few, data.frames, replace(PLAIN, balanced=False))
    assert {float(w) for b in stream.epoch(1) for w in b.weights} == {1.0}


def test_memory_does_not_grow_with_the_number_of_clips(
    data: FaceData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_MIXED", 1)
    read = []
    monkeypatch.setattr(data.faces, "read", lambda row, change=None: _read(read, data, row))
    batches = stream_of(data, replace(PLAIN, batch_size=8)).epoch(1)
    next(batches)
    assert len(read) <= 3  # the clip that is trained on, and the next ones
    assert len(list(batches)) == 5


def _read(read: list[int], data: FaceData, row: int) -> np.ndarray:
    read.append(row)
    return np.zeros((FRAMES, 32, 32, 3), dtype=np.uint8)


def test_clips_without_a_label_or_with_few_faces_are_left_out(tmp_path: Path) -> None:
    store = write_faces(
        tmp_path / "faces",
        [
            face_clip("a.mp4", REAL, 0),
            face_clip("b.mp4", -1, 1),
            face_clip("c.mp4", FAKE, 2, frames=7),
        ],
    )
    data = load_faces(store, ROW)
    assert [clip.video_id for clip in data.data.clips] == ["a.mp4"]
    assert data.data.excluded.total() == 2
    empty = write_faces(tmp_path / "none", [])
    with pytest.raises(DatasetError, match="it is empty"):
        load_faces(empty, ROW)


def test_one_file_with_opposite_labels_is_refused(tmp_path: Path) -> None:
    real = face_clip("real/a.mp4", REAL, 0)
    fake = replace(real, video_id="fake/a.mp4", label=FAKE)
    store = write_faces(faces_of(tmp_path / "s"), [real, fake])
    with pytest.raises(DatasetError, match=r"real/a\.mp4 \(real\) is the same file as"):
        load_faces(store, ROW)
    write_store(tmp_path / "s")  # the feature store that contains the cache
    with pytest.raises(DatasetError, match=f"deepseq remove {tmp_path}/s ID"):
        load_faces(store, ROW)


def test_a_damaged_crop_stops_the_epoch_and_is_named(tmp_path: Path) -> None:
    clip = face_clip("a.mp4", REAL, 0)
    broken = replace(clip, images=np.zeros_like(clip.images))
    data = load_faces(write_faces(tmp_path / "faces", [broken]), ROW)
    with pytest.raises(StoreError, match=r"a\.mp4: a cached face cannot be read"):
        list(stream_of(data).epoch(1))
