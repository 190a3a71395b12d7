"""The records of a video before and after the CNN computes their features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.faces import resize_square
from deepfake_seq.extract.faces.crop import square_around
from deepfake_seq.extract.records.views import Crops, RenderedView, view_key, view_record, views_of
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.store import FaceRecord, FeatureRecord, Record

Images = Sequence[npt.NDArray[np.uint8]]


@dataclass(eq=False)
class ExtractedVideo:
    """The records made from one video.

    Attributes:
        item: The video.
        records: One record per person, followed by their views.
        faces: Records for the face cache, one per person; empty if faces are not kept.
        missing: Number of records whose features the CNN has not computed yet.
    """

    item: VideoItem
    records: list[FeatureRecord]
    faces: list[FaceRecord]
    missing: int = 0


@dataclass(frozen=True, eq=False)
class PendingRecord:
    """The record of a person, or of a view, whose features have not been computed yet.

    Attributes:
        record: The record; all features are zero.
        landmarks: float32 (T, 5, 2) in pixels of the frame; zeros if the detector finds none.
        crops_rgb: uint8 (K, S, S, 3) in chronological order, the input of the CNN; K is 0 if no
            frame shows the face.
        faces: The person's record in the face cache; None if faces are not kept.
    """

    record: FeatureRecord
    landmarks: npt.NDArray[np.float32]
    crops_rgb: npt.NDArray[np.uint8] = field(default_factory=lambda: _resized([], 0))
    faces: FaceRecord | None = None

    @classmethod
    def from_faces(cls, faces: FaceRecord, width: int) -> PendingRecord:
        """Return the record of a person in a face cache, without crops yet.

        Args:
            faces: The person's record in the face cache.
            width: Number of features per frame, D.
        """
        features = np.zeros((len(faces.mask), width), dtype=np.float16)
        return cls(FeatureRecord(**_shared_fields(faces), features=features), faces.landmarks)

    def rejected(self, reason: str) -> PendingRecord:
        """Return the record with status `rejected` and no valid frame."""
        return replace(
            self,
            record=self.record.without_frames("rejected", reason),
            landmarks=np.zeros_like(self.landmarks),
        )

    def to_face_record(self, files: Sequence[bytes]) -> FaceRecord:
        """Return the record for the face cache.

        Args:
            files: The image file of each valid frame.
        """
        lengths = np.zeros_like(self.record.frame_index)
        lengths[: len(files)] = [len(file) for file in files]
        return FaceRecord(
            **_shared_fields(self.record),
            landmarks=self.landmarks,
            image_bytes=lengths,
            images=np.frombuffer(b"".join(files), dtype=np.uint8),
        )

    def with_crops(
        self, resolved: ResolvedConfig, squares: Images, faces: FaceRecord | None = None
    ) -> list[PendingRecord]:
        """Return the person's record with its crops, followed by those of the requested views.

        Args:
            resolved: The settings.
            squares: uint8 (side, side, 3) each; the squares cut from the frames at full size.
            faces: The person's record in the face cache, if faces are kept.
        """
        record = self.record
        facts = resolved.extract_options.facts_of(
            record.video_id, record.source, record.groups, record.facts
        )
        size = resolved.backbone.crop_size
        labelled = replace(record, facts=record.facts | facts)
        person = PendingRecord(labelled, self.landmarks, _resized(squares, size), faces)
        views = [
            PendingRecord(
                view_record(view, labelled), self.landmarks, _resized(view.images_rgb, size)
            )
            for view in self._views(resolved, squares)
        ]
        return [person, *views]

    def to_record(self, features: npt.NDArray[np.float32]) -> FeatureRecord:
        """Return the complete record.

        Args:
            features: float32 (K, D), one row per crop. If one exceeds the range of float16, the
                record is `rejected` and has no valid frame.
        """
        largest = np.abs(features).max(initial=0.0)
        if not largest <= np.finfo(np.float16).max:
            reason = f"a feature does not fit into the cache's float16. Received: {largest}"
            return self.record.without_frames("rejected", reason)
        padded = np.zeros_like(self.record.features)
        padded[: len(features)] = features
        return replace(self.record, features=padded)

    def _views(self, resolved: ResolvedConfig, squares: Images) -> Iterator[RenderedView]:
        record, config = self.record, resolved.extract_options.views
        if not len(squares) or not config.wanted(record.label):
            return iter(())
        margin = resolved.config.faces.margin
        crops = crops_of(record, self.landmarks, squares, margin)
        return views_of(
            view_key(record.source.sha256, record.video_id), crops, record.label, config
        )


def crops_of(
    record: Record, landmarks: npt.NDArray[np.float32], squares: Images, margin: float
) -> Crops:
    """Return the crops of a person, with boxes and landmarks in pixels of the crops.

    Args:
        record: The record of the person; its boxes and frame sizes.
        landmarks: float32 (T, 5, 2) in pixels of the frame.
        squares: uint8 (side, side, 3) each; the squares cut from the frames.
        margin: Margin around the box that they were cut with; see `square_around`.
    """
    boxes = record.boxes_xyxy[: len(squares)]
    corners = np.array(
        [
            square_around(box, margin, *size)[:2]
            for box, size in zip(boxes, record.sizes.tolist(), strict=False)
        ],
        dtype=np.float32,
    )
    points = zip(landmarks[: len(squares)], corners, strict=True)
    return Crops(
        list(squares),
        list(boxes - np.tile(corners, 2)),
        [marks - corner if marks.any() else None for marks, corner in points],
    )


def _shared_fields(record: Record) -> dict[str, Any]:
    """Return the fields that feature and face records have in common, without the revision."""
    names = [shared.name for shared in fields(Record) if shared.name != "revision"]
    return {name: getattr(record, name) for name in names}


def _resized(squares: Images, size: int) -> npt.NDArray[np.uint8]:
    """Resize squares to the input size of the CNN: uint8 (K, size, size, 3)."""
    crops = np.empty((len(squares), size, size, 3), dtype=np.uint8)
    for row, square in enumerate(squares):
        crops[row] = resize_square(square, size)
    return crops
