"""A person of a video, on the way from crops to records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.faces import resize_square
from deepfake_seq.extract.faces.crop import square_around
from deepfake_seq.extract.records.views import Crops, View, known_of, view_key, views_of
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.store import FaceRecord, FeatureRecord
from deepfake_seq.store.records.record import empty_arrays

Images = Sequence[npt.NDArray[np.uint8]]

NO_FEATURES = np.zeros((0, 0), dtype=np.float32)


class ExtractedVideo(NamedTuple):
    """What became of a video.

    Attributes:
        item: The video.
        records: One for each person, and behind them their views.
        faces: What the face cache keeps of each person; empty where it keeps nothing.
    """

    item: VideoItem
    records: list[FeatureRecord]
    faces: list[FaceRecord]


@dataclass(frozen=True, eq=False)
class PendingRecord:
    """A record that lacks nothing but its features.

    Attributes:
        known: Its fields that are no arrays.
        arrays: Its arrays but the features.
        shape: (T, D) of the features.
        crops_rgb: uint8 (K, S, S, 3), in order of time; K is 0 where nobody is seen.
        faces: What the face cache keeps of the person, if anything.
    """

    known: dict[str, Any]
    arrays: dict[str, Any]
    shape: tuple[int, int]
    crops_rgb: npt.NDArray[np.uint8]
    faces: FaceRecord | None = None

    def to_record(self, features: npt.NDArray[np.float32] = NO_FEATURES) -> FeatureRecord:
        """The record.

        Args:
            features: float32 (K, D) of the crops. Where one does not fit into the cache, the record
                is `rejected` and has none.
        """
        arrays = {**self.arrays, "features": np.zeros(self.shape, dtype=np.float16)}
        largest = np.abs(features).max(initial=0.0)
        if not largest <= np.finfo(np.float16).max:
            reason = f"a feature does not fit into the cache's float16. Received: {largest}"
            arrays = empty_arrays(*self.shape)
            return FeatureRecord(**{**self.known, "status": "rejected", "reason": reason}, **arrays)
        if len(features):
            arrays["features"][: len(features)] = features
        return FeatureRecord(**self.known, **arrays)


@dataclass(frozen=True, eq=False)
class Seen:
    """A person of a video: who it is, and where and when the face is seen.

    Attributes:
        known: The fields of the record that are no arrays.
        arrays: `mask`, `frame_index`, `pts_seconds`, `boxes_xyxy`, `scores` and `landmarks`, as
            `FaceRecord` has them.
    """

    known: dict[str, Any]
    arrays: dict[str, Any]

    @classmethod
    def of(cls, record: FaceRecord) -> Seen:
        """What the face cache knows of a person."""
        known = {name: getattr(record, name) for name in _KNOWN}
        return cls(known, {name: getattr(record, name) for name in _ARRAYS})

    def prepared(
        self, resolved: ResolvedConfig, cuts: Images, faces: FaceRecord | None = None
    ) -> list[PendingRecord]:
        """The person, and behind it the views of it that are asked for.

        Args:
            resolved: The settings.
            cuts: uint8 (side, side, 3) each; the squares with the face, as large as in the frames.
            faces: What the face cache keeps of the person, if anything.
        """
        facts = {**self.known["facts"], **resolved.extract_options.facts_of(self.known)}
        person = _prepared(resolved, {**self.known, "facts": facts}, self.arrays, cuts)
        views = [
            _prepared(resolved, known_of(view, person.known), self.arrays, view.images_rgb)
            for view in self._views(resolved, cuts)
        ]
        return [replace(person, faces=faces), *views]

    def _views(self, resolved: ResolvedConfig, cuts: Images) -> Iterator[View]:
        known, config = self.known, resolved.extract_options.views
        if not len(cuts) or not config.wanted(known["label"]):
            return iter(())
        crops = crops_of(known["facts"], self.arrays, cuts, resolved.config.faces.margin)
        key = view_key(known["source"].sha256, known["video_id"])
        return views_of(key, crops, known["label"], config)


def crops_of(
    facts: Mapping[str, Any], arrays: Mapping[str, Any], cuts: Images, margin: float
) -> Crops:
    """The crops with the faces as they lie in them.

    Args:
        facts: Of the record; `width` and `height` are of the frames.
        arrays: Its `boxes_xyxy` and `landmarks`, in pixels of the frames.
        cuts: uint8 (side, side, 3) each; the squares that were cut out with that margin.
        margin: See `square_around`.
    """
    boxes = arrays["boxes_xyxy"][: len(cuts)]
    size = facts["width"], facts["height"]
    corners = np.array([square_around(box, margin, *size)[:2] for box in boxes], dtype=np.float32)
    marks = zip(arrays["landmarks"][: len(cuts)], corners, strict=True)
    return Crops(
        list(cuts),
        list(boxes - np.tile(corners, 2)),
        [own - corner if own.any() else None for own, corner in marks],
    )


_ARRAYS = ("mask", "frame_index", "pts_seconds", "boxes_xyxy", "scores", "landmarks")
_KNOWN = (
    "video_id", "status", "reason", "label", "groups", "split", "source", "facts", "transient",
)  # fmt: skip


def _prepared(
    resolved: ResolvedConfig, known: dict[str, Any], arrays: dict[str, Any], cuts: Images
) -> PendingRecord:
    size, frames = resolved.backbone.crop_size, len(arrays["mask"])
    crops = np.empty((len(cuts), size, size, 3), dtype=np.uint8)
    for row, cut in enumerate(cuts):
        crops[row] = resize_square(cut, size)
    own = {name: array for name, array in arrays.items() if name != "landmarks"}
    return PendingRecord(known, own, (frames, resolved.backbone.width), crops)
