"""The extractor runs videos in parallel, fills batches across them, and loses none."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from children import decoding_processes
from clips import write_clip
from decoding import DecodersHere
from mean_cnn import MeanCnn, features_of

from deepfake_seq.config import (
    BackboneConfig,
    ExecutionConfig,
    ExtractConfig,
    FaceConfig,
    LimitsConfig,
    SamplingConfig,
)
from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import VideoError, WeightsError
from deepfake_seq.extract.extractor import Extractor
from deepfake_seq.extract.faces import Face
from deepfake_seq.extract.records.from_videos import OnStage, VideoCropSource
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.extract.video.decode import DecodedVideo, Span
from deepfake_seq.extract.video.decoder_pool import Decoders
from deepfake_seq.store import SourceFile

CONFIG = ExtractConfig(
    sampling=SamplingConfig(frames=4),
    faces=FaceConfig(detector="none"),
    backbone=BackboneConfig("vgg16", "untrained"),
)


class CountingCnn(MeanCnn):
    """Records the number of crops per call."""

    batch = 6

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.sizes.append(len(crops_rgb))
        return super().features(crops_rgb)


class AlternatelyBlind:
    """Finds the whole frame as a face, or no face in frames of odd brightness."""

    def detect(self, images_rgb: npt.NDArray[np.uint8]) -> list[list[Face]]:
        height, width = images_rgb.shape[1:3]
        box = np.array([0, 0, width, height], dtype=np.float32)
        return [[Face(box, 1.0)] if image.mean() % 2 < 1 else [] for image in images_rgb]


def extractor_of(
    cnn: CountingCnn,
    decoders: type[Decoders] = DecodersHere,
    workers: int = 2,
    on_stage: OnStage = lambda item, stage: None,
) -> Extractor:
    source = VideoCropSource(
        resolve(CONFIG),
        AlternatelyBlind(),
        features_of(cnn),
        decoders(workers, CONFIG.sampling, LimitsConfig()),
    )
    return Extractor(source, features_of(cnn), on_stage)


def clips_in(folder: Path, count: int) -> list[VideoItem]:
    return [
        VideoItem(write_clip(folder / f"{number}.mp4", 5 + number), f"{number}.mp4")
        for number in range(count)
    ]


@pytest.mark.parametrize("workers", [1, 3])
def test_every_video_is_returned_once_with_its_own_features(tmp_path: Path, workers: int) -> None:
    items = clips_in(tmp_path, 9)
    (tmp_path / "bad.mp4").write_text("no video")
    items.insert(4, VideoItem(tmp_path / "bad.mp4", "bad.mp4"))
    with extractor_of(CountingCnn(), workers=workers) as extractor:
        together = {item.video_id: records for item, records in extractor.records(items)}
    assert together.keys() == {item.video_id for item in items}
    assert together["bad.mp4"][0].status == "decode_error"
    for item in items:
        with extractor_of(CountingCnn()) as extractor:
            ((_, (alone,)),) = extractor.records([item])
        (record,) = together[item.video_id]
        assert record.sha256 == alone.sha256


def test_a_busy_cnn_gets_full_batches_across_videos(tmp_path: Path) -> None:
    items, ready = clips_in(tmp_path, 12), list[VideoItem]()
    all_ready = threading.Event()

    class Busy(CountingCnn):
        def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            assert all_ready.wait(timeout=300), "the crops wait for the CNN"
            return super().features(crops_rgb)

    cnn, records = Busy(), []
    with extractor_of(cnn, on_stage=lambda item, _: ready.append(item)) as extractor:
        for item in items:
            extractor.submit(item)
        while extractor.is_busy:
            records += [record for video in extractor.finished() for record in video.records]
            if len(ready) == len(items):
                all_ready.set()
    assert sum(cnn.sizes) == sum(record.frames_valid for record in records)
    assert set(cnn.sizes[1:-1]) == {cnn.batch}


def test_an_idle_cnn_does_not_wait_for_a_full_batch(tmp_path: Path) -> None:
    done = threading.Event()

    class Last(DecodersHere):
        def decode(self, path: Path, span: Span | None = None) -> DecodedVideo:
            if path.name == "1.mp4":
                assert done.wait(timeout=60), "the first video waits for the second"
            return super().decode(path, span)

    with extractor_of(CountingCnn(), Last) as extractor:
        for item, _ in extractor.records(clips_in(tmp_path, 2)):
            assert (item.video_id == "0.mp4") != done.is_set()
            done.set()


def test_videos_are_decoded_while_the_cnn_runs(tmp_path: Path) -> None:
    prepared = threading.Event()

    class Waiting(CountingCnn):
        def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            assert prepared.wait(timeout=60), "no video is decoded meanwhile"
            return super().features(crops_rgb)

    class Telling(DecodersHere):
        def decode(self, path: Path, span: Span | None = None) -> DecodedVideo:
            if path.name == "5.mp4":
                prepared.set()
            return super().decode(path, span)

    with extractor_of(Waiting(), Telling) as extractor:
        assert len(list(extractor.records(clips_in(tmp_path, 8)))) == 8


def test_the_number_of_videos_in_progress_is_limited(tmp_path: Path) -> None:
    taken = 0

    def items() -> Iterator[VideoItem]:
        nonlocal taken
        for item in clips_in(tmp_path, 30):
            taken += 1
            yield item

    with extractor_of(CountingCnn()) as extractor:
        for done, _ in enumerate(extractor.records(items())):
            # Two being decoded and one submitted, and about two per batch ahead.
            assert taken - done <= 12


def test_stopping_early_leaves_no_process(tmp_path: Path) -> None:
    with extractor_of(CountingCnn(), Decoders) as extractor:
        next(iter(extractor.records(clips_in(tmp_path, 12))))
    assert not decoding_processes()


def test_a_cnn_that_cannot_be_loaded_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        assert decoding_processes(), "the processes start while the CNN is loaded"
        raise WeightsError("damaged")

    monkeypatch.setattr("deepfake_seq.extract.evidence.evidence.build_runtime", fails)
    with pytest.raises(WeightsError):
        Extractor.build(resolve(CONFIG), ExecutionConfig(workers=2))
    assert not decoding_processes()


def test_an_interrupt_does_not_wait_for_decoding(tmp_path: Path) -> None:
    reasons: list[str] = []

    class Hanging(Decoders):
        def decode(self, path: Path, span: Span | None = None) -> DecodedVideo:
            if path.name == "0.mp4":
                return super().decode(path, span)
            return DecodedVideo(None, *self._hang(), source=SourceFile(0, 0, ""))

        def _hang(self) -> tuple[str, str]:
            try:
                self.call(time.sleep, 600)
            except VideoError as error:
                reasons.append(str(error))
            return "timeout", ""

    with pytest.raises(KeyboardInterrupt), extractor_of(CountingCnn(), Hanging) as extractor:
        for _ in extractor.records(clips_in(tmp_path, 3)):
            raise KeyboardInterrupt
    assert reasons and not any("took longer" in reason for reason in reasons)
    assert not decoding_processes()


def test_an_error_of_the_cnn_ends_the_run(tmp_path: Path) -> None:
    class Broken(CountingCnn):
        def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            raise RuntimeError("out of order")

    with extractor_of(Broken()) as extractor, pytest.raises(RuntimeError, match="out of order"):
        list(extractor.records(clips_in(tmp_path, 5)))
