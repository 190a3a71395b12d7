"""One machine at work: its cores decode, detect and crop videos while its CNN computes features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

from deepfake_seq.config import ExecutionConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.backbones.batching import Batch, Batcher, Features, returned
from deepfake_seq.extract.backbones.runtime import CnnRuntime, build_runtime
from deepfake_seq.extract.faces import build_detector
from deepfake_seq.extract.records.from_faces import CachedCropSource
from deepfake_seq.extract.records.from_videos import CropSource, VideoCropSource
from deepfake_seq.extract.records.pending import ExtractedVideo, PendingRecord
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.video.decoder_pool import Decoders, default_workers
from deepfake_seq.store import FeatureRecord

_BATCHES_AHEAD = 2
"""How many batches of crops wait for the CNN, so that it never waits for the next one."""


class Machine:
    """What turns videos into records on one machine; a context manager.

    Each of several threads takes one video through decoding (in a process of its own), detection
    and cropping, or takes its crops from a face cache. One more thread runs the CNN on batches that
    are filled across videos. Nobody waits for anybody but where work is missing, or where too much
    of it has piled up.

    Args:
        crop_source: Makes the crops.
        cnn: Computes features of crops.
        frames: How many crops a video has at most.
    """

    def __init__(self, crop_source: CropSource, cnn: CnnRuntime, frames: int) -> None:
        self.profile = crop_source.profile
        self._cnn = cnn
        self._frames = frames
        self._preparation = crop_source

    @classmethod
    def build(cls, resolved: ResolvedConfig, execution: ExecutionConfig, videos: int) -> Machine:
        """Load the detector, where one is needed, and the CNN.

        Args:
            resolved: The settings, with their weights found.
            execution: How to use the machine.
            videos: How many there are at most; for fewer than cores, fewer processes are started.

        Raises:
            WeightsError: A weights file cannot be read.
            EngineError: A library that is needed cannot be used.
        """
        config = resolved.config
        workers = max(min(execution.workers or default_workers(), videos), 1)
        cnn = build_runtime(execution.runtime, config.backbone, resolved.backbone_weights)
        if resolved.face_cache:
            return cls(CachedCropSource(resolved, workers), cnn, config.sampling.frames)
        detector = build_detector(
            config.faces.detector, resolved.detector_weights, config.backbone.precision
        )
        decoders = Decoders(workers, config.sampling, execution.limits)
        return cls(VideoCropSource(resolved, detector, decoders), cnn, config.sampling.frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End its processes."""
        self._preparation.close()

    def records(
        self, items: Iterable[VideoItem]
    ) -> Iterator[tuple[VideoItem, list[FeatureRecord]]]:
        """Extract videos and give their records as they get ready; see `extracted`."""
        for video in self.extracted(items):
            yield video.item, video.records

    def extracted(self, items: Iterable[VideoItem]) -> Iterator[ExtractedVideo]:
        """Extract videos and give what became of them as they get ready.

        `items` is asked for the next one only when there is room for it, so memory does not grow
        with their number.

        Yields:
            Each video once, with one record; or, where everybody is asked for, one for each person.
            Who does not take them all cannot use the machine again.
        """
        self.profile.start(self._preparation.lanes)
        try:
            with _Flow(self._preparation, self._cnn) as flow:
                try:
                    yield from flow.run(items)
                except BaseException:
                    self._preparation.close()  # so that nobody waits for what nobody wants
                    raise
        finally:
            self.profile.stop()


@dataclass(eq=False)
class _Video:
    """A video of which some people may still be at the CNN."""

    item: VideoItem
    people: list[PendingRecord]
    records: dict[int, FeatureRecord] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return len(self.records) == len(self.people)

    @property
    def extracted(self) -> ExtractedVideo:
        records = [self.records[number] for number in range(len(self.people))]
        return ExtractedVideo(self.item, records, [own.faces for own in self.people if own.faces])


_Owner = tuple[_Video, int]


class _Flow(ExitStack):
    """What is under way at one time. All its bookkeeping happens in the caller's thread."""

    def __init__(self, crop_source: CropSource, cnn: CnnRuntime) -> None:
        super().__init__()
        self._preparation = crop_source
        self._cnn = cnn
        self._profile = crop_source.profile
        self._preparers = ThreadPoolExecutor(crop_source.lanes, "prepare")
        self._computer = ThreadPoolExecutor(1, "cnn")
        for executor in (self._preparers, self._computer):
            self.callback(executor.shutdown, cancel_futures=True)
        self._batcher: Batcher[_Owner] = Batcher(cnn.batch)
        self._preparing: dict[Future[list[PendingRecord]], VideoItem] = {}
        self._computing: dict[Future[Features], Batch[_Owner]] = {}

    def run(self, items: Iterable[VideoItem]) -> Iterator[ExtractedVideo]:
        queue = iter(items)
        while True:
            while self._has_room and (item := next(queue, None)) is not None:
                self._preparing[self._preparers.submit(self._preparation.prepare, item)] = item
            # An idle CNN takes what there is; a busy one is given full batches.
            while len(self._computing) < _BATCHES_AHEAD and (
                batch := self._batcher.take(partial=not self._computing)
            ):
                self._computing[self._computer.submit(self._features, batch)] = batch
            if not self._preparing and not self._computing:
                return
            under_way: list[Future[Any]] = [*self._preparing, *self._computing]
            ready, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in ready:
                finish = self._prepared if future in self._preparing else self._computed
                yield from finish(future)

    @property
    def _has_room(self) -> bool:
        crops = _BATCHES_AHEAD * self._cnn.batch
        return len(self._preparing) <= self._preparation.lanes and self._batcher.waiting < crops

    def _features(self, batch: Batch[_Owner]) -> Features:
        with self._profile.measure("cnn", len(batch.crops_rgb)):
            return self._cnn.features(batch.crops_rgb)

    def _prepared(self, future: Future[Any]) -> Iterator[ExtractedVideo]:
        video = _Video(self._preparing.pop(future), future.result())
        for number, person in enumerate(video.people):
            if len(person.crops_rgb):
                self._batcher.add((video, number), person.crops_rgb)
            else:
                video.records[number] = person.to_record()
        if video.is_done:
            yield video.extracted

    def _computed(self, future: Future[Any]) -> Iterator[ExtractedVideo]:
        for (video, number), features in returned(self._computing.pop(future), future.result()):
            video.records[number] = video.people[number].to_record(features)
            if video.is_done:
                yield video.extracted
