"""Cached faces to pending records: the crops of a face cache replace decoding and detection."""

from __future__ import annotations

import threading
from pathlib import Path

from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import StoreError
from deepfake_seq.extract.evidence import Evidence
from deepfake_seq.extract.faces import image_codec
from deepfake_seq.extract.profiling import Profile
from deepfake_seq.extract.records.pending import PendingRecord
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.store import FaceRecord, FaceStore
from deepfake_seq.store.record_ids import people_in, person_of


class CachedCropSource:
    """See `CropSource`: reads the crops from a face cache.

    Args:
        resolved: The settings; `face_cache` is the path of the store.
        evidence: Prepares crops for the CNN.
        lanes: Number of threads that decode images.
    """

    def __init__(self, resolved: ResolvedConfig, evidence: Evidence, lanes: int) -> None:
        assert resolved.face_cache is not None
        self.profile = Profile()
        self.lanes = lanes
        self._resolved = resolved
        self._evidence = evidence
        self._all_people = resolved.config.faces.people == "all"
        self._store = FaceStore.open(resolved.face_cache)
        self._lock = threading.Lock()  # a store may only be used by one thread at a time

    def close(self) -> None:
        """See `CropSource`."""
        self._store.close()

    def prepare(self, item: VideoItem) -> list[PendingRecord]:
        """See `CropSource`.

        Raises:
            StoreError: A record of the video is damaged, or another process removed them all.
        """
        width = self._resolved.backbone.width
        with self.profile.measure("decode", 1):
            with self._lock:
                names = list(people_in(self._store, item.video_id, self._all_people))
            if not names:
                raise StoreError(
                    f"{self._store.path}: another process removed the faces of {item.video_id}"
                )
            people = [self.read(name) for name in names]
        with self.profile.measure("crop", sum(len(squares) for _, squares in people)):
            return [
                pending
                for record, squares in people
                for pending in PendingRecord.from_faces(record, width).with_crops(
                    self._resolved, self._evidence, squares
                )
            ]

    def read(self, record_id: str) -> tuple[FaceRecord, image_codec.Images]:
        """Read a record and decode its crops; if that fails, the record is `rejected`.

        Raises:
            StoreError: The record is damaged.
        """
        with self._lock:
            record = self._store[record_id]
        frames = self._resolved.config.sampling.frames
        if len(record.mask) != frames:
            raise StoreError(
                f"{self._store.path}: a record has {len(record.mask)} frames, but the store's "
                f"settings say {frames}"
            )
        try:
            squares = image_codec.decode(record.encoded)
            if (record.sizes[: len(squares)] <= 0).any():
                raise StoreError("the size of its frames is unknown")
        except StoreError as error:
            return record.without_frames("rejected", str(error)), []
        return record, squares


def cached_items(store: FaceStore, all_people: bool) -> list[VideoItem]:
    """Return the videos of a face cache, with the labels recorded there.

    Args:
        store: The face cache.
        all_people: Whether each person of a video has a record.
    """
    items = []
    for entry in store.entries():
        values, facts = entry.metadata, entry.metadata["facts"]
        name = str(values["video_id"])
        person = person_of(name) if all_people else ""
        if all_people and person != "#0":
            continue  # each video is listed once, by its first person
        video_id = name.removesuffix(person)
        items.append(
            VideoItem(
                Path(video_id),
                video_id,
                values["label"],
                values["groups"],
                values["split"],
                str(facts.get("method", "")),
                str(facts.get("dataset", "")),
            )
        )
    return items
