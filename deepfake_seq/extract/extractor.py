"""Videos to records on this machine: cores decode, detect and crop while the CNN runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any, Self

import numpy as np

from deepfake_seq.config import ExecutionConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.backbones.batching import Batch, Batcher, Rows, finish
from deepfake_seq.extract.evidence import Evidence, FaceCrop
from deepfake_seq.extract.faces import build_detector
from deepfake_seq.extract.records.from_faces import CachedCropSource
from deepfake_seq.extract.records.from_videos import (
    CropSource,
    OnPeople,
    OnStage,
    VideoCropSource,
)
from deepfake_seq.extract.records.pending import ExtractedVideo, PendingRecord
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.video.decoder_pool import Decoders, default_workers
from deepfake_seq.store import FeatureRecord

_BATCHES_AHEAD = 2
"""Number of batches of crops kept ready, so that the CNN never waits for the next one."""

_Owner = tuple[ExtractedVideo, int, PendingRecord]
"""A video, and a record of it with its position in the video's list of records."""


class Extractor:
    """Turns videos into records; a context manager.

    Several threads process one video each: they decode it (in a separate process), detect and crop
    the faces, or read the crops from a face cache. One more thread runs the CNN on batches that are
    filled across videos. All bookkeeping happens in the caller's thread: `submit` a video while
    there `has_room`, and collect the `finished` ones.

    Args:
        crop_source: Makes the crops.
        evidence: Computes the evidence blocks of crops.
        on_stage: Called when the crops of a video are ready for the CNN.
    """

    def __init__(
        self,
        crop_source: CropSource,
        evidence: Evidence,
        on_stage: OnStage = lambda item, stage: None,
    ) -> None:
        self.profile = crop_source.profile
        self._crop_source = crop_source
        self._evidence = evidence
        self._on_stage = on_stage
        self._crop_threads = ThreadPoolExecutor(crop_source.lanes, "crop")
        self._cnn_thread = ThreadPoolExecutor(1, "cnn")
        self._batcher: Batcher[_Owner] = Batcher(evidence.batch)
        self._cropping: dict[Future[list[PendingRecord]], VideoItem] = {}
        self._computing: dict[Future[Rows], Batch[_Owner]] = {}

    @classmethod
    def build(
        cls,
        resolved: ResolvedConfig,
        execution: ExecutionConfig,
        videos: int | None = None,
        on_stage: OnStage = lambda item, stage: None,
        on_people: OnPeople = lambda item, video, people: None,
        *,
        crop_source: Callable[[Evidence], CropSource] | None = None,
    ) -> Self:
        """Load the CNN and, unless the crops come from a face cache, the detector.

        Args:
            resolved: The settings.
            execution: How to use the machine.
            videos: Maximum number of videos, if known; no more processes than that are started.
            on_stage: Called when a video enters a stage, possibly by another thread.
            on_people: Called by another thread with the people in each video; not if the crops
                come from a face cache.
            crop_source: Builds the source of the crops, which prepares them with the given
                evidence; by default, they come from the face cache, or from the videos.

        Raises:
            WeightsError: A weights file cannot be read.
            EngineError: A required library cannot be used.
        """
        config = resolved.config
        workers = execution.workers or default_workers()
        if videos is not None:
            workers = max(min(workers, videos), 1)
        with ExitStack() as after_error:
            if crop_source is None and not resolved.face_cache:
                decoders = Decoders(workers, config.sampling, execution.limits)
                after_error.callback(decoders.close)
                decoders.start()  # they need as long as the CNN
            evidence = Evidence.build(
                ("features", *resolved.extract_options.evidence),
                execution.runtime,
                config.backbone,
                resolved.backbone_weights,
                resolved.ranges,
            )
            if crop_source is not None:
                return cls(crop_source(evidence), evidence, on_stage)
            if resolved.face_cache:
                return cls(CachedCropSource(resolved, evidence, workers), evidence, on_stage)
            detector = build_detector(
                config.faces.detector,
                resolved.detector_weights,
                config.faces.precision or "float32",
                resolved.detector_ranges,
            )
            after_error.pop_all()
        source = VideoCropSource(resolved, detector, evidence, decoders, on_stage, on_people)
        return cls(source, evidence, on_stage)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the decoding processes and the threads; unfinished videos are dropped."""
        self._crop_source.close()  # first, so that no thread waits for a video that is dropped
        for threads in (self._crop_threads, self._cnn_thread):
            threads.shutdown(cancel_futures=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure the wall time of the block in `profile`."""
        self.profile.start(self._crop_source.lanes)
        try:
            yield
        finally:
            self.profile.stop()

    def records(
        self, items: Iterable[VideoItem]
    ) -> Iterator[tuple[VideoItem, list[FeatureRecord]]]:
        """Extract videos; yield each with its records as soon as they are complete.

        The next item is taken only when there is room for it, so memory use does not grow with the
        number of videos.
        """
        with self.running():
            for item in items:
                self.submit(item)
                while not self.has_room:
                    yield from ((video.item, video.records) for video in self.finished())
            while self.is_busy:
                yield from ((video.item, video.records) for video in self.finished())

    @property
    def has_room(self) -> bool:
        """Whether another video can be submitted without piling up work."""
        crops = _BATCHES_AHEAD * self._evidence.batch
        return len(self._cropping) <= self._crop_source.lanes and self._batcher.waiting < crops

    @property
    def is_busy(self) -> bool:
        """Whether any submitted video is not finished."""
        return bool(self._cropping or self._computing or self._batcher.waiting)

    def submit(self, item: VideoItem) -> None:
        """Start extracting a video."""
        self._cropping[self._crop_threads.submit(self._crop_source.prepare, item)] = item

    def finished(self, seconds: float | None = None) -> Iterator[ExtractedVideo]:
        """Wait until some step is done, and yield the videos that it completed, if any.

        May only be called while the extractor `is_busy`.

        Args:
            seconds: Maximum time to wait; None to wait as long as the step takes.
        """
        # An idle CNN gets whatever crops are waiting; a busy one is only given full batches.
        while len(self._computing) < _BATCHES_AHEAD and (
            batch := self._batcher.take(partial=not self._computing)
        ):
            self._computing[self._cnn_thread.submit(self._compute, batch)] = batch
        under_way: list[Future[Any]] = [*self._cropping, *self._computing]
        ready, _ = wait(under_way, seconds, FIRST_COMPLETED)
        for future in ready:
            receive = self._receive_crops if future in self._cropping else self._receive_features
            yield from receive(future)

    def blocks_of(self, faces: Iterable[FaceCrop]) -> dict[str, Rows]:
        """Compute the evidence blocks of further faces, between the batches of the videos.

        Args:
            faces: At least one face. A batch is taken and prepared while the CNN computes others.

        Returns:
            The blocks by name, float32 (N, width) each.
        """
        remaining = iter(faces)
        computing: deque[Future[Rows]] = deque()
        rows = []
        while batch := list(islice(remaining, self._evidence.batch)):
            inputs = self._evidence.prepare(*zip(*batch, strict=True))
            computing.append(self._cnn_thread.submit(self._evidence.compute, inputs))
            if len(computing) > _BATCHES_AHEAD:
                rows.append(computing.popleft().result())
        rows += [future.result() for future in computing]
        return self._evidence.split(np.concatenate(rows))

    def _compute(self, batch: Batch[_Owner]) -> Rows:
        with self.profile.measure("cnn", len(batch)):
            return self._evidence.compute(batch.inputs)

    def _receive_crops(self, future: Future[Any]) -> Iterator[ExtractedVideo]:
        item, pending = self._cropping.pop(future), future.result()
        faces = [record.faces for record in pending if record.faces is not None]
        video = ExtractedVideo(item, [record.record for record in pending], faces)
        for position, record in enumerate(pending):
            if record.inputs:
                if not video.missing:
                    self._on_stage(item, "cnn")
                video.missing += 1
                self._batcher.add((video, position, record), record.inputs)
        if not video.missing:
            yield video

    def _receive_features(self, future: Future[Any]) -> Iterator[ExtractedVideo]:
        for owner, rows in finish(self._computing.pop(future), future.result()):
            video, position, record = owner
            video.records[position] = record.to_record(self._evidence.split(rows))
            video.missing -= 1
            if not video.missing:
                yield video
