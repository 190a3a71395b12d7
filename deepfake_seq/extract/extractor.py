"""Detector, crop and CNN as one: sampled frames in, a feature record out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import VideoError
from deepfake_seq.extract.backbones import BACKBONE_TABLE
from deepfake_seq.extract.faces import FaceDetector, build_detector, crop_square
from deepfake_seq.extract.people import FramesAt, Person, find_people
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.resume import record_id
from deepfake_seq.extract.runtimes import CnnRuntime, build_runtime
from deepfake_seq.extract.video import DecodedVideo
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
        self._everyone = resolved.config.faces.people == "all"

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

    def extract(
        self, item: VideoItem, video: DecodedVideo, frames_at: FramesAt
    ) -> list[FeatureRecord]:
        """The records of one video, whatever decoding made of it.

        Args:
            item: The video.
            video: What decoding made of it.
            frames_at: Decodes further frames of it, where a sampled one shows no face.

        Returns:
            One record; or, where everybody is asked for, one for each person, with `#0`, `#1` …
            behind its `video_id`.
        """
        if video.frames is None:
            return [self._record(item, video, 0, Person.nobody())]
        available = int(video.facts["frames_total"])
        found = find_people(video.frames, self._detector, self._config.faces, available, frames_at)
        return [
            self._record(item, video, number, person)
            for number, person in enumerate(found or [Person.nobody()])
        ]

    def crops(self, person: Person) -> npt.NDArray[np.uint8]:
        """The faces of a person as the CNN sees them: uint8 (K, S, S, 3), in order of time."""
        return np.stack(
            [
                crop_square(
                    image, face.box_xyxy, self._config.faces.margin, self._backbone.crop_size
                )
                for image, face in zip(person.images_rgb, person.faces, strict=True)
            ]
        )

    def _record(
        self, item: VideoItem, video: DecodedVideo, number: int, person: Person
    ) -> FeatureRecord:
        arrays = empty_arrays(self._config.sampling.frames, self._backbone.width)
        status, reason, transient = video.status, video.reason, video.transient
        facts = {**video.facts, **item.facts}
        if video.frames is not None:
            facts["frames_sampled"] = len(video.frames)
            facts["faces_found"] = len(person) - person.filled
            facts["faces_filled"] = person.filled
            try:
                self._fill(arrays, person)
            except VideoError as error:
                status, reason, transient = error.status, str(error), error.transient
            if not len(person):
                read = f"in the {len(video.frames)} sampled frames or beside them"
                reason = f"no face {read}" + (f" ({reason})" if reason else "")
                status = "no_face"
        return FeatureRecord(
            video_id=record_id(item.video_id, number if self._everyone else None),
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

    def _fill(self, arrays: dict[str, npt.NDArray[Any]], person: Person) -> None:
        if not len(person):
            return
        features = self._cnn.features(self.crops(person))
        largest = np.abs(features).max()
        if not largest <= np.finfo(np.float16).max:
            raise VideoError(
                "rejected", f"a feature does not fit into the cache's float16. Received: {largest}"
            )
        valid = slice(len(person))
        arrays["features"][valid] = features
        arrays["mask"][valid] = True
        arrays["frame_index"][valid] = person.frame_index
        arrays["pts_seconds"][valid] = person.pts_seconds
        arrays["boxes_xyxy"][valid] = [face.box_xyxy for face in person.faces]
        arrays["scores"][valid] = [face.score for face in person.faces]
