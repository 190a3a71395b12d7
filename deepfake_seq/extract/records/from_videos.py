"""From a video to crops of faces: decode, detect, follow, crop. Everything but the CNN."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import ExtractConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.faces import FaceDetector, cut_square, image_codec
from deepfake_seq.extract.faces.people import FramesAt, Person, find_people
from deepfake_seq.extract.profiling import Profile
from deepfake_seq.extract.records.pending import PendingRecord, Seen
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.extract.video.decode import DecodedVideo
from deepfake_seq.extract.video.decoder_pool import Decoders
from deepfake_seq.store import FaceRecord
from deepfake_seq.store.record_ids import record_id
from deepfake_seq.store.records.face_record import MAX_IMAGES, empty_face_arrays


class CropSource(Protocol):
    """Makes what the CNN is shown of a video; several threads may do so at once.

    Attributes:
        profile: Where the time is counted.
        lanes: How many threads it suits.
    """

    profile: Profile
    lanes: int

    def prepare(self, item: VideoItem) -> list[PendingRecord]:
        """What records are to be made of a video; whatever goes wrong with it is in the status.

        Returns:
            One person or, where everybody is asked for, each of them, with `#0`, `#1` … behind the
            `video_id`; and behind the people their views.
        """
        ...

    def close(self) -> None:
        """Give up what is under way, and end what was started."""
        ...


class VideoCropSource:
    """See `CropSource`: decodes videos and finds the faces in them.

    Args:
        resolved: The settings.
        detector: Finds faces.
        decoders: Decode; there are as many threads as processes.
    """

    def __init__(
        self, resolved: ResolvedConfig, detector: FaceDetector, decoders: Decoders
    ) -> None:
        self.profile = Profile()
        self.lanes = decoders.workers
        self._resolved = resolved
        self._detector = detector
        self._decoders = decoders

    def close(self) -> None:
        """See `CropSource`."""
        self._decoders.close()

    def prepare(self, item: VideoItem) -> list[PendingRecord]:
        """See `CropSource`."""
        with self.profile.measure("decode", 1):
            video = self._decoders.decode(item.path)
        people = self._people(video, partial(self._decoders.frames_at, item.path))
        with self.profile.measure("crop", sum(map(len, people))):
            return [
                prepared
                for number, person in enumerate(people)
                for prepared in _prepared(self._resolved, item, video, number, person)
            ]

    def _people(self, video: DecodedVideo, frames_at: FramesAt) -> list[Person]:
        if video.frames is None:
            return [Person.nobody()]
        available = int(video.facts["frames_total"])
        with self.profile.measure("detect", len(video.frames)):
            found = find_people(
                video.frames, self._detector, self._resolved.config.faces, available, frames_at
            )
        return found or [Person.nobody()]


def failure(resolved: ResolvedConfig, item: VideoItem, video: DecodedVideo) -> PendingRecord:
    """What is kept of a video that has no frames."""
    (prepared,) = _prepared(resolved, item, video, 0, Person.nobody())
    return prepared


def _prepared(
    resolved: ResolvedConfig, item: VideoItem, video: DecodedVideo, number: int, person: Person
) -> list[PendingRecord]:
    known = _known(resolved.config, item, video, number, person)
    config = resolved.config.faces
    cuts = [
        cut_square(image, face.box_xyxy, config.margin)
        for image, face in zip(person.images_rgb, person.faces, strict=True)
    ]
    reason = _too_large(cuts)
    if reason and config.is_lossy:  # what the CNN is shown has to go through a file
        known, person, cuts = {**known, "status": "rejected", "reason": reason}, Person.nobody(), []
    seen = _seen(resolved.config, known, person)
    if config.is_lossy:
        files = image_codec.encode(cuts, config.image_format)
        return seen.prepared(resolved, image_codec.decode(files), _kept(resolved, seen, files))
    if not resolved.extract_options.keep_faces:
        return seen.prepared(resolved, cuts)
    kept, shown = seen, cuts
    if reason:
        none = {**known, "status": "rejected", "reason": reason}
        kept, shown = _seen(resolved.config, none, Person.nobody()), []
    faces = _kept(resolved, kept, image_codec.encode(shown, config.image_format))
    return seen.prepared(resolved, cuts, faces)


def _kept(resolved: ResolvedConfig, seen: Seen, files: Sequence[bytes]) -> FaceRecord | None:
    """What the face cache keeps of a person, if there is one."""
    return _face_record(seen, files) if resolved.extract_options.keep_faces else None


def _too_large(cuts: Sequence[npt.NDArray[np.uint8]]) -> str:
    """Why crops cannot be cached; "" where they can."""
    widest, size = max(map(len, cuts), default=0), sum(cut.nbytes for cut in cuts)
    if widest > image_codec.MAX_SIDE:
        limit = image_codec.MAX_SIDE
        return f"a crop of {widest} pixels is larger than the limit of the face cache, {limit}"
    if size > MAX_IMAGES:
        return f"crops of {size} bytes are more than the limit of the face cache, {MAX_IMAGES}"
    return ""


def _known(
    config: ExtractConfig, item: VideoItem, video: DecodedVideo, number: int, person: Person
) -> dict[str, Any]:
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
    return {
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


def _seen(config: ExtractConfig, known: dict[str, Any], person: Person) -> Seen:
    """Where and when the person is seen."""
    arrays = empty_face_arrays(config.sampling.frames)
    valid = slice(len(person))
    arrays["mask"][valid] = True
    arrays["frame_index"][valid] = person.frame_index
    arrays["pts_seconds"][valid] = person.pts_seconds
    for row, face in enumerate(person.faces):
        arrays["boxes_xyxy"][row] = face.box_xyxy
        arrays["scores"][row] = face.score
        if face.landmarks is not None:
            arrays["landmarks"][row] = face.landmarks
    return Seen(known, arrays)


def _face_record(seen: Seen, files: Sequence[bytes]) -> FaceRecord:
    lengths = np.zeros_like(seen.arrays["frame_index"])
    lengths[: len(files)] = [len(file) for file in files]
    images = np.frombuffer(b"".join(files), dtype=np.uint8)
    arrays = {**seen.arrays, "image_bytes": lengths, "images": images}
    return FaceRecord(**seen.known, **arrays)
