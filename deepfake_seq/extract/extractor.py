"""Detector, crop and CNN as one: sampled frames in, a feature record out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import VideoError
from deepfake_seq.extract.backbones import BACKBONE_TABLE
from deepfake_seq.extract.faces import (
    FaceDetector,
    FaceTrack,
    build_detector,
    crop_square,
    detect_scaled,
    subject,
)
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.runtimes import CnnRuntime, build_runtime
from deepfake_seq.extract.video import DecodedVideo, SampledFrames
from deepfake_seq.store import FeatureRecord
from deepfake_seq.store.record import empty_arrays


class Extractor:
    """Turns decoded videos into records.

    Args:
        resolved: The settings and the files that they need.
        detector: Finds faces.
        cnn: Computes features of crops.
    """

    def __init__(self, resolved: ResolvedConfig, detector: FaceDetector, cnn: CnnRuntime) -> None:
        self.resolved = resolved
        self._detector = detector
        self._cnn = cnn
        self._config = resolved.config
        self._backbone = BACKBONE_TABLE[resolved.config.backbone.name]

    @classmethod
    def build(cls, resolved: ResolvedConfig, runtime: str) -> Extractor:
        """Load the detector and the CNN.

        Raises:
            WeightsError: A weights file cannot be read.
            EngineError: A library that is needed cannot be used.
        """
        config = resolved.config
        detector = build_detector(config.faces.detector, resolved.detector_weights)
        cnn = build_runtime(runtime, config.backbone, resolved.backbone_weights)
        return cls(resolved, detector, cnn)

    def extract(self, item: VideoItem, video: DecodedVideo) -> FeatureRecord:
        """The record of one video, whatever decoding made of it."""
        config = self._config
        arrays = empty_arrays(config.sampling.frames, self._backbone.width)
        status, reason, transient = video.status, video.reason, video.transient
        facts = dict(video.facts)
        if video.frames is not None:
            track = self._track(video.frames)
            facts["frames_sampled"] = len(video.frames)
            facts["faces_found"] = len(track.faces)
            if track.faces:
                try:
                    self._fill(arrays, video.frames, track)
                except VideoError as error:
                    status, reason, transient = error.status, str(error), error.transient
            else:
                read = f"in the {len(video.frames)} sampled frames"
                reason = f"no face {read}" + (f" ({reason})" if reason else "")
                status = "no_face"
        return FeatureRecord(
            video_id=item.video_id,
            status=status,
            reason=reason,
            label=item.label,
            groups=item.groups,
            split=item.split,
            source=video.source,
            facts=facts,
            transient=transient,
            **arrays,
        )

    def crops(self, frames: SampledFrames, track: FaceTrack) -> npt.NDArray[np.uint8]:
        """The faces of a track as the CNN sees them: uint8 (K, S, S, 3), in order of time."""
        return np.stack(
            [
                crop_square(
                    frames.images_rgb[position],
                    track.faces[position].box_xyxy,
                    self._config.faces.margin,
                    self._backbone.crop_size,
                )
                for position in sorted(track.faces)
            ]
        )

    def _track(self, frames: SampledFrames) -> FaceTrack:
        found = detect_scaled(self._detector, frames.images_rgb, self._config.faces.short_side)
        return subject(found)

    def _fill(
        self, arrays: dict[str, npt.NDArray[Any]], frames: SampledFrames, track: FaceTrack
    ) -> None:
        positions = np.array(sorted(track.faces))
        faces = [track.faces[int(position)] for position in positions]
        valid = slice(len(positions))
        features = self._cnn.features(self.crops(frames, track))
        largest = np.abs(features).max()
        if not largest <= np.finfo(np.float16).max:
            raise VideoError(
                "rejected", f"a feature does not fit into the cache's float16. Received: {largest}"
            )
        arrays["features"][valid] = features
        arrays["mask"][valid] = True
        arrays["frame_index"][valid] = frames.frame_index[positions]
        arrays["pts_seconds"][valid] = frames.pts_seconds[positions]
        arrays["boxes_xyxy"][valid] = [face.box_xyxy for face in faces]
        arrays["scores"][valid] = [face.score for face in faces]
