"""Crops out of a face cache in the place of videos: nothing is decoded, nothing detected."""

from __future__ import annotations

import threading
from pathlib import Path

from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import StoreError
from deepfake_seq.extract.faces import image_codec
from deepfake_seq.extract.profiling import Profile
from deepfake_seq.extract.records.pending import PendingRecord, Seen
from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.store import FaceRecord, FaceStore, SourceFile
from deepfake_seq.store.record_ids import people_in, person_of, record_id


class CachedCropSource:
    """See `CropSource`: takes the crops from a store of faces.

    Args:
        resolved: The settings; its `face_cache` is the store.
        lanes: How many threads unpack images.
    """

    def __init__(self, resolved: ResolvedConfig, lanes: int) -> None:
        assert resolved.face_cache is not None
        self.profile = Profile()
        self.lanes = lanes
        self._resolved = resolved
        self._everyone = resolved.config.faces.people == "all"
        self._store = FaceStore.open(resolved.face_cache)
        self._lock = threading.Lock()  # a store is not meant for several threads

    def close(self) -> None:
        """See `CropSource`."""
        self._store.close()

    def prepare(self, item: VideoItem) -> list[PendingRecord]:
        """See `CropSource`.

        Raises:
            StoreError: A record of the video is damaged.
        """
        with self.profile.measure("decode", 1):
            with self._lock:
                names = people_in(self._store, item.video_id, self._everyone)
                records = [self._store[name] for name in names]
            people = [self._unpacked(record) for record in records]
        with self.profile.measure("crop", sum(len(cuts) for _, cuts in people)):
            return [
                prepared
                for record, cuts in people
                for prepared in Seen.of(record).prepared(self._resolved, cuts)
            ]

    def _unpacked(self, record: FaceRecord) -> tuple[FaceRecord, image_codec.Images]:
        """A record with its crops; what is no picture of a face is a reason, not the run's end."""
        frames = self._resolved.config.sampling.frames
        if len(record.mask) != frames:
            raise StoreError(
                f"{self._store.path} holds {len(record.mask)} frames of a video, and says {frames}"
            )
        try:
            cuts = image_codec.decode(record.encoded)
            sizes = [record.facts.get(name) for name in ("width", "height")]
            if cuts and not all(type(size) is int and size > 0 for size in sizes):
                raise StoreError(f"the size of its frames is not known. Received: {sizes}")
        except StoreError as error:
            return record.without_frames("rejected", str(error)), []
        return record, cuts


def cached_items(store: FaceStore, everyone: bool) -> list[VideoItem]:
    """The videos whose faces a store has, with what is told of them there.

    Args:
        store: The faces.
        everyone: Whether each person of a video has a record.
    """
    items = []
    for entry in store.entries():
        values, facts = entry.metadata, entry.metadata["facts"]
        name = str(values["video_id"])
        person = person_of(name) if everyone else ""
        if everyone and person != "#0":
            continue  # the first one stands for the video
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


class CachedSources:
    """Tells which video file the faces are from; see `resume.SourceNow`.

    Args:
        store: The faces.
        everyone: Whether each person of a video has a record.
    """

    def __init__(self, store: FaceStore, everyone: bool) -> None:
        self._store = store
        self._everyone = everyone

    def __call__(self, item: VideoItem, known: SourceFile) -> SourceFile | None:
        """The file as the face cache knows it if its content is the known one, else None."""
        entry = self._store.entry(record_id(item.video_id, 0 if self._everyone else None))
        if entry is None:
            return known
        return entry.source if entry.source.sha256 == known.sha256 else None
