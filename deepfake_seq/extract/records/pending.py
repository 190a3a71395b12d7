"""The records of a video before and after the CNN computes their features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.backbones.outputs import Inputs
from deepfake_seq.extract.evidence import Evidence
from deepfake_seq.extract.faces.conditions import conditions_of
from deepfake_seq.extract.faces.crop import square_around
from deepfake_seq.extract.records.views import Crops, RenderedView, view_key, view_record, views_of
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.store import FaceRecord, FeatureRecord, Record
from deepfake_seq.store.record_ids import CONDITIONS_FACT
from deepfake_seq.store.records.record import EVIDENCE_FACT

FIXED_REGIONS_FACT = "fixed_regions"
"""Name of the fact that the face regions are a fixed layout, because there are no landmarks."""

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
        inputs: What the evidence blocks of the K faces are computed from, in chronological order;
            empty if no frame shows the face.
        faces: The person's record in the face cache; None if faces are not kept.
    """

    record: FeatureRecord
    landmarks: npt.NDArray[np.float32]
    inputs: Inputs = field(default_factory=dict)
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

    def labelled(self, resolved: ResolvedConfig) -> PendingRecord:
        """Return the record with the facts that the requested options add."""
        record = self.record
        facts = resolved.extract_options.facts_of(
            record.video_id, record.source, record.groups, record.facts
        )
        return replace(self, record=replace(record, facts=record.facts | facts))

    def with_crops(
        self,
        resolved: ResolvedConfig,
        evidence: Evidence,
        squares: Images,
        faces: FaceRecord | None = None,
    ) -> list[PendingRecord]:
        """Return the person's record with its crops, followed by those of the requested views.

        Args:
            resolved: The settings.
            evidence: Prepares the crops.
            squares: uint8 (side, side, 3) each; the squares cut from the frames at full size.
            faces: The person's record in the face cache, if faces are kept.
        """
        crops = crops_of(self.record, self.landmarks, squares, resolved.config.faces.margin)
        labelled = self.labelled(resolved).record
        described = labelled
        if len(squares):
            labelled = _with_evidence(labelled, resolved, evidence, crops)
            measured = {CONDITIONS_FACT: conditions_of(labelled, squares)}
            described = replace(labelled, facts=labelled.facts | measured)
        inputs = evidence.prepare(squares, crops.landmarks)
        person = PendingRecord(described, self.landmarks, inputs, faces)
        views = [
            PendingRecord(
                view_record(view, labelled),
                self.landmarks,
                evidence.prepare(view.images_rgb, view.landmarks),
            )
            for view in self._views(resolved, crops)
        ]
        return [person, *views]

    def to_record(self, blocks: Mapping[str, npt.NDArray[np.float32]]) -> FeatureRecord:
        """Return the complete record.

        Args:
            blocks: `features` and all evidence blocks by name, float32 (K, D_k), one row per crop.
                If a value exceeds the range of float16, the record is `rejected` and has no valid
                frame.
        """
        padded = {}
        for name, rows in blocks.items():
            largest = np.abs(rows).max(initial=0.0)
            if not largest <= np.finfo(np.float16).max:
                reason = f"a value of {name} does not fit into float16. Received: {largest}"
                return self.record.without_frames("rejected", reason)
            padded[name] = np.zeros((len(self.record.mask), rows.shape[1]), dtype=np.float16)
            padded[name][: len(rows)] = rows
        return replace(self.record, features=padded.pop("features"), evidence=padded)

    def _views(self, resolved: ResolvedConfig, crops: Crops) -> Iterator[RenderedView]:
        record, config = self.record, resolved.extract_options.views
        if not len(crops.images_rgb) or not config.wanted(record.label):
            return iter(())
        return views_of(
            view_key(record.source.sha256, record.video_id), crops, record.label, config
        )


def _with_evidence(
    record: FeatureRecord, resolved: ResolvedConfig, evidence: Evidence, crops: Crops
) -> FeatureRecord:
    """Return a record with the requested evidence blocks, all zero, and their settings."""
    names = resolved.extract_options.evidence
    if not names:
        return record
    facts = record.facts | {EVIDENCE_FACT: {name: evidence.settings[name] for name in names}}
    if any(points is None for points in crops.landmarks):
        facts[FIXED_REGIONS_FACT] = True
    frames = len(record.mask)
    blocks = {name: np.zeros((frames, evidence.widths[name]), np.float16) for name in names}
    return replace(record, facts=facts, evidence=blocks)


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
    ).reshape(-1, 2)
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
