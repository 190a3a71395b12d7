"""From a video to crops of faces: decode, detect, follow, crop. Everything but the CNN."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import ExtractConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.backbones import BACKBONE_TABLE
from deepfake_seq.extract.decoders import Decoders
from deepfake_seq.extract.faces import FaceDetector, crop_square
from deepfake_seq.extract.people import FramesAt, Person, find_people
from deepfake_seq.extract.profiling import Profile
from deepfake_seq.extract.resume import record_id
from deepfake_seq.extract.video import DecodedVideo
from deepfake_seq.store import FeatureRecord
from deepfake_seq.store.record import empty_arrays

NO_FEATURES = np.zeros((0, 0), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A person of a video, ready for the CNN.

    Attributes:
        known: The fields of the record that are no arrays.
        arrays: Its arrays; features and mask are still empty.
        crops_rgb: uint8 (K, S, S, 3), in order of time; K is 0 where nobody is seen.
    """

    known: dict[str, Any]
    arrays: dict[str, Any]
    crops_rgb: npt.NDArray[np.uint8]

    def finished(self, features: npt.NDArray[np.float32] = NO_FEATURES) -> FeatureRecord:
        """The record.

        Args:
            features: float32 (K, D) of the crops. Where one does not fit into the cache, the record
                is `rejected` and has none.
        """
        largest = np.abs(features).max(initial=0.0)
        if not largest <= np.finfo(np.float16).max:
            reason = f"a feature does not fit into the cache's float16. Received: {largest}"
            empty = empty_arrays(*self.arrays["features"].shape)
            return FeatureRecord(**{**self.known, "status": "rejected", "reason": reason}, **empty)
        if len(features):
            self.arrays["features"][: len(features)] = features
            self.arrays["mask"][: len(features)] = True
        return FeatureRecord(**self.known, **self.arrays)


class Preparation:
    """Prepares videos; several threads may do so at once.

    Args:
        config: The settings.
        detector: Finds faces.
        decoders: Decode.
        profile: Where to count the time.
    """

    def __init__(
        self, config: ExtractConfig, detector: FaceDetector, decoders: Decoders, profile: Profile
    ) -> None:
        self._config = config
        self._detector = detector
        self._decoders = decoders
        self._profile = profile

    def prepare(self, item: VideoItem) -> list[Prepared]:
        """Decode a video and cut its faces out; whatever goes wrong with it is in the status.

        Returns:
            One person; or, where everybody is asked for, each of them, with `#0`, `#1` … behind the
            `video_id`.
        """
        with self._profile.measure("decode", 1):
            video = self._decoders.decode(item.path)
        people = self._people(video, partial(self._decoders.frames_at, item.path))
        with self._profile.measure("crop", sum(map(len, people))):
            return [
                _prepared(self._config, item, video, number, person)
                for number, person in enumerate(people)
            ]

    def _people(self, video: DecodedVideo, frames_at: FramesAt) -> list[Person]:
        if video.frames is None:
            return [Person.nobody()]
        available = int(video.facts["frames_total"])
        with self._profile.measure("detect", len(video.frames)):
            found = find_people(
                video.frames, self._detector, self._config.faces, available, frames_at
            )
        return found or [Person.nobody()]


def failure(config: ExtractConfig, item: VideoItem, video: DecodedVideo) -> FeatureRecord:
    """The record of a video that has no frames."""
    return _prepared(config, item, video, 0, Person.nobody()).finished()


def _prepared(
    config: ExtractConfig, item: VideoItem, video: DecodedVideo, number: int, person: Person
) -> Prepared:
    arrays = empty_arrays(config.sampling.frames, BACKBONE_TABLE[config.backbone.name].width)
    _fill(arrays, person)
    facts = {**video.facts, **item.facts}
    status, reason = video.status, video.reason
    if video.frames is not None:
        facts["frames_sampled"] = len(video.frames)
        facts["faces_found"] = len(person) - person.filled
        facts["faces_filled"] = person.filled
        if not len(person):
            read = f"in the {len(video.frames)} sampled frames or beside them"
            reason = f"no face {read}" + (f" ({reason})" if reason else "")
            status = "no_face"
    known = {
        "video_id": record_id(item.video_id, number if config.faces.people == "all" else None),
        "status": status,
        "reason": reason,
        "label": item.label,
        "groups": item.groups,
        "split": item.split,
        "source": video.source,
        "facts": facts,
        "transient": video.transient,
    }
    return Prepared(known, arrays, _crops(config, person))


def _crops(config: ExtractConfig, person: Person) -> npt.NDArray[np.uint8]:
    margin, size = config.faces.margin, BACKBONE_TABLE[config.backbone.name].crop_size
    crops = np.empty((len(person), size, size, 3), dtype=np.uint8)
    for row, (image, face) in enumerate(zip(person.images_rgb, person.faces, strict=True)):
        crops[row] = crop_square(image, face.box_xyxy, margin, size)
    return crops


def _fill(arrays: dict[str, npt.NDArray[Any]], person: Person) -> None:
    """Write down where and when the person is seen."""
    valid = slice(len(person))
    arrays["frame_index"][valid] = person.frame_index
    arrays["pts_seconds"][valid] = person.pts_seconds
    if len(person):
        arrays["boxes_xyxy"][valid] = [face.box_xyxy for face in person.faces]
        arrays["scores"][valid] = [face.score for face in person.faces]
