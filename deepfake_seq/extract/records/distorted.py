"""Cached faces to pending records of distorted clips, for testing a detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from deepfake_seq.augment.distortions import Distortion
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.evidence import Evidence
from deepfake_seq.extract.records.from_faces import CachedCropSource
from deepfake_seq.extract.records.pending import PendingRecord
from deepfake_seq.extract.records.views import view_key
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.store import FaceRecord


@dataclass(frozen=True)
class DistortedClip:
    """A clip of a face cache, and how to distort it.

    Attributes:
        record_id: Id of the clip's record.
        distortion: The distortion.
        seed: Seed of random distortions.
    """

    record_id: str
    distortion: Distortion
    seed: int = 0


class DistortedCropSource:
    """See `CropSource`: reads crops from a face cache and distorts them.

    The records have the conditions of the distorted crops in their facts.

    Args:
        resolved: The settings; `face_cache` is the path of the store.
        evidence: Prepares crops for the CNN.
        lanes: Number of threads that decode and distort images.
        clips: The clips by the `video_id` under which they are extracted.
    """

    def __init__(
        self,
        resolved: ResolvedConfig,
        evidence: Evidence,
        lanes: int,
        clips: Mapping[str, DistortedClip],
    ) -> None:
        self._cached = CachedCropSource(resolved, evidence, lanes)
        self._resolved = resolved
        self._evidence = evidence
        self._clips = clips
        self.profile = self._cached.profile
        self.lanes = lanes

    def close(self) -> None:
        """See `CropSource`."""
        self._cached.close()

    def prepare(self, item: VideoItem) -> list[PendingRecord]:
        """See `CropSource`; one record, `rejected` if the face is too small to be distorted."""
        clip = self._clips[item.video_id]
        with self.profile.measure("decode", 1):
            record, squares = self._cached.read(clip.record_id)
        seed = (*view_key(record.source.sha256, clip.record_id), clip.seed)
        record = replace(record, video_id=item.video_id)
        scale = clip.distortion.scale(record.face_pixels) if squares else 1.0
        if scale > 1:
            reason = f"the face is smaller than {clip.distortion.name}"
            record, squares, scale = record.without_frames("rejected", reason), [], 1.0
        with self.profile.measure("crop", len(squares)):
            images = squares and clip.distortion.apply(squares, record.face_pixels, seed)
            pending = PendingRecord.from_faces(
                _scaled(record, scale), self._resolved.backbone.width
            )
            return pending.with_crops(self._resolved, self._evidence, images)


def _scaled(record: FaceRecord, scale: float) -> FaceRecord:
    """Return the record of a clip whose frames are `scale` times as large, with the same images."""
    sizes = np.maximum((record.sizes * scale).round(), 1).astype(np.int32)
    sizes[~record.mask] = 0
    return replace(
        record,
        boxes_xyxy=(record.boxes_xyxy * scale).astype(np.float32),
        landmarks=(record.landmarks * scale).astype(np.float32),
        frame_size=sizes,
    )
