"""Videos to pending records: decode, detect, track and crop; everything except the CNN."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import FaceConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.evidence import Evidence
from deepfake_seq.extract.faces import FaceDetector, image_codec
from deepfake_seq.extract.faces.people import Person, find_people
from deepfake_seq.extract.profiling import Profile
from deepfake_seq.extract.records.mask_videos import replaced_shares
from deepfake_seq.extract.records.pending import PendingRecord
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.video.decode import DecodedVideo
from deepfake_seq.extract.video.decoder_pool import Decoders
from deepfake_seq.store import FeatureRecord
from deepfake_seq.store.record_ids import record_id
from deepfake_seq.store.records.face_record import MAX_IMAGES
from deepfake_seq.store.records.record import MASK_SHARES_FACT, empty_arrays

_LOG = logging.getLogger(__name__)

OnStage = Callable[[VideoItem, str], None]
"""Called with a video and the name of the stage that it enters: `decode`, `detect` or `cnn`."""

OnPeople = Callable[[VideoItem, DecodedVideo, list[Person]], None]
"""Called with a video, its decoded frames and the people in them, before the CNN sees the crops."""


class CropSource(Protocol):
    """Makes the pending records of videos; several threads may use it at once.

    Attributes:
        profile: Time spent in each stage.
        lanes: Number of threads that should use it.
    """

    profile: Profile
    lanes: int

    def prepare(self, item: VideoItem) -> list[PendingRecord]:
        """Make the pending records of a video; a failure becomes a status and a reason.

        Returns:
            One record or, if all people are requested, one per person, with `#0`, `#1` … appended
            to the `video_id`; then the views of these people.
        """
        ...

    def close(self) -> None:
        """Release all resources; videos in progress fail."""
        ...


class VideoCropSource:
    """See `CropSource`: decodes videos and finds the faces in them.

    Args:
        resolved: The settings.
        detector: Finds faces.
        evidence: Prepares crops for the CNN.
        decoders: Decoding processes; as many threads are used as there are processes.
        on_stage: Called by the threads before each video is decoded and searched for faces.
        on_people: Called by the threads after each video was searched for faces.
    """

    def __init__(
        self,
        resolved: ResolvedConfig,
        detector: FaceDetector,
        evidence: Evidence,
        decoders: Decoders,
        on_stage: OnStage = lambda item, stage: None,
        on_people: OnPeople = lambda item, video, people: None,
    ) -> None:
        self.profile = Profile()
        self.lanes = decoders.workers
        self._resolved = resolved
        self._detector = detector
        self._evidence = evidence
        self._decoders = decoders
        self._on_stage = on_stage
        self._on_people = on_people

    def close(self) -> None:
        """See `CropSource`."""
        self._decoders.close()

    def prepare(self, item: VideoItem) -> list[PendingRecord]:
        """See `CropSource`."""
        self._on_stage(item, "decode")
        with self.profile.measure("decode", 1):
            video = self._decoders.decode(item.path, item.span)
        people = self._people(item, video)
        self._on_people(item, video, people)
        with self.profile.measure("crop", sum(map(len, people))):
            return [
                record
                for number, person in enumerate(people)
                for record in self._records(item, video, number, person)
            ]

    def _people(self, item: VideoItem, video: DecodedVideo) -> list[Person]:
        if video.frames is None:
            return [Person.empty()]
        self._on_stage(item, "detect")
        seconds, bounds = video.timeline_seconds, None
        if item.span is not None:
            first, last = np.searchsorted(seconds, item.span)
            bounds = int(first), int(last)
        with self.profile.measure("detect", len(video.frames)):
            people = find_people(
                video.frames,
                self._detector,
                self._resolved.config.faces,
                seconds,
                partial(self._decoders.frames_at, item.path),
                bounds,
            )
        return people or [Person.empty()]

    def _records(
        self, item: VideoItem, video: DecodedVideo, number: int, person: Person
    ) -> list[PendingRecord]:
        """Return the record of a person, followed by those of the requested views."""
        resolved, config = self._resolved, self._resolved.config.faces
        record = _without_crops(resolved, item, video, number, person)
        if item.mask_path and len(person):
            record = self._with_mask_shares(item.mask_path, record)
        squares = person.squares_rgb
        if not (config.is_lossy or resolved.extract_options.keep_faces):
            return record.with_crops(resolved, self._evidence, squares)
        too_large = _too_large(squares)
        kept, kept_squares = (record.rejected(too_large), []) if too_large else (record, squares)
        files = image_codec.encode(kept_squares, config.image_format)
        faces = kept.to_face_record(files) if resolved.extract_options.keep_faces else None
        if config.is_lossy:  # the CNN gets the same pixels as it would from the face cache
            return kept.with_crops(resolved, self._evidence, image_codec.decode(files), faces)
        return record.with_crops(resolved, self._evidence, squares, faces)

    def _with_mask_shares(self, path: Path, pending: PendingRecord) -> PendingRecord:
        """Return the record with the replaced share of each face region, if it can be read."""
        record = pending.record
        frames = self._decoders.frames_at(path, record.frame_index[record.mask].tolist())
        shares = replaced_shares(frames, pending, self._resolved.config.faces.margin)
        if shares is None:
            _LOG.warning(
                "%s: the replaced regions are unknown, because its mask video cannot be read or "
                "has fewer frames. Received: %s",
                record.video_id,
                path,
            )
            return pending
        facts = record.facts | {MASK_SHARES_FACT: shares}
        return replace(pending, record=replace(record, facts=facts))


def failure_record(resolved: ResolvedConfig, item: VideoItem, video: DecodedVideo) -> PendingRecord:
    """Return the record of a video without frames."""
    pending = _without_crops(resolved, item, video, 0, Person.empty()).labelled(resolved)
    if not resolved.extract_options.keep_faces:
        return pending
    return replace(pending, faces=pending.to_face_record([]))


def _without_crops(
    resolved: ResolvedConfig, item: VideoItem, video: DecodedVideo, number: int, person: Person
) -> PendingRecord:
    """Return the record of a person before its crops are cut."""
    config = resolved.config
    status, reason = video.status, video.reason
    facts = {**video.facts, **item.facts}
    if video.frames is not None:
        facts["frames_sampled"] = len(video.frames)
        facts["faces_found"] = len(person) - person.filled
        facts["faces_filled"] = person.filled
        if person.shots > 1:
            facts["shots"] = person.shots
        if person.resampled:
            facts["resampled"] = True
        if not len(person):
            short_side = min(video.frames.images_rgb[0].shape[:2])
            reason = _no_face(len(video.frames), short_side, config.faces, video.reason)
            status = "no_face"
    arrays = empty_arrays(config.sampling.frames, resolved.backbone.width)
    valid = slice(len(person))
    arrays["mask"][valid] = True
    arrays["frame_index"][valid] = person.frame_index
    arrays["pts_seconds"][valid] = person.pts_seconds
    frame_size = np.zeros((config.sampling.frames, 2), dtype=np.int32)
    frame_size[valid] = person.frame_size
    landmarks = np.zeros((config.sampling.frames, 5, 2), dtype=np.float32)
    for row, face in enumerate(person.faces):
        arrays["boxes_xyxy"][row] = face.box_xyxy
        arrays["scores"][row] = face.score
        if face.landmarks is not None:
            landmarks[row] = face.landmarks
    record = FeatureRecord(
        video_id=record_id(item.video_id, number if config.faces.people == "all" else None),
        status=status,
        reason=reason,
        label=item.label,
        groups=item.groups,
        split=item.split,
        source=video.source,
        facts=facts,
        transient=video.transient,
        frame_size=frame_size,
        **arrays,
    )
    return PendingRecord(record, landmarks)


def _no_face(sampled: int, short_side: int, config: FaceConfig, reason: str) -> str:
    """Return the reason of a `no_face` record, including the `reason` for missing frames."""
    message = f"no face in the {sampled} sampled frames or their neighbours"
    if config.detector != "none" and short_side > config.short_side:
        message += (
            f", searched at a short side of {config.short_side} of {short_side} pixels; a larger "
            "--short-side finds smaller faces"
        )
    return f"{message} ({reason})" if reason else message


def _too_large(squares: Sequence[npt.NDArray[np.uint8]]) -> str:
    """Return why crops are too large for the face cache; "" if they are not."""
    widest = max(map(len, squares), default=0)
    size_bytes = sum(square.nbytes for square in squares)
    if widest > image_codec.MAX_SIDE:
        return (
            f"a crop of {widest} pixels exceeds the limit of the face cache, "
            f"{image_codec.MAX_SIDE} pixels"
        )
    if size_bytes > MAX_IMAGES:
        return f"crops of {size_bytes} bytes exceed the limit of the face cache, {MAX_IMAGES} bytes"
    return ""
