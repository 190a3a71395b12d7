"""The stores that a run writes to: features and, if they are kept, faces."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.store import FaceStoreWriter, StoreWriter, faces_of
from deepfake_seq.store.record_ids import video_of
from deepfake_seq.store.upkeep.remove import records_of, remove_videos
from deepfake_seq.store.writer import Writer

_BATCH = 200
"""Maximum number of videos moved at once; each is claimed under two ids, with an open file each."""


@dataclass(frozen=True)
class StoreWriters:
    """Writers of a feature store and of the face cache inside it; a context manager.

    Attributes:
        features: Writer of the feature store.
        faces: Writer of the face cache; None if faces are not kept.
    """

    features: StoreWriter
    faces: FaceStoreWriter | None = None

    @classmethod
    def create(cls, path: Path, resolved: ResolvedConfig) -> Self:
        """Open the stores at `path`; create them if they do not exist.

        Raises:
            FingerprintMismatchError: A store there has another fingerprint; the message lists
                the differences.
            StoreError: `path` is not a directory, or contains shards without a description.
        """
        features = StoreWriter.create(path, resolved.description)
        if not resolved.extract_options.keep_faces:
            return cls(features)
        return cls(features, FaceStoreWriter.create(faces_of(path), resolved.faces_description))

    @property
    def stores(self) -> tuple[Writer[Any], ...]:
        """The writers of all stores of this run."""
        return (self.features,) if self.faces is None else (self.features, self.faces)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for store in self.stores:
            store.close()

    def claim(self, video_id: str, *, wait: bool = False) -> bool:
        """Reserve a video for this run, in both stores; see `StoreWriter.claim`.

        Raises:
            StoreError: The directory cannot be written.
        """
        claimed = self.features.claim(video_id, wait=wait)
        if claimed and self.faces is not None:
            self.faces.refresh()
        return claimed

    def remove(self, video_ids: Collection[str]) -> None:
        """Remove all records of videos; see `store.upkeep.remove`.

        Raises:
            StoreError: Another run is writing to the store, a record is damaged, or the disk
                refuses the write.
        """
        remove_videos(self.stores, video_ids)

    def move(self, names: Mapping[str, str]) -> None:
        """Give the records of videos new ids; videos that another run has moved are skipped.

        Args:
            names: New id of each video by its id.

        Raises:
            StoreError: A record is damaged, or the disk refuses the write.
        """
        # In the order on the disk, so that few shards are replaced several times.
        order = {video_of(name): place for place, name in enumerate(self.features.reading_order)}
        waiting = dict(sorted(names.items(), key=lambda pair: order.get(pair[0], -1)))
        while waiting:
            first = list(waiting.items())[:_BATCH]
            batch = {old: new for old, new in first if self._claim_both(old, new)}
            if not batch:  # wait for one; without holding others, so that no two runs wait in turn
                old, new = next(iter(waiting.items()))
                for video_id in sorted((old, new)):
                    self.claim(video_id, wait=True)
                batch = {old: new}
            self._rename(batch)
            for old, new in batch.items():
                del waiting[old]
                self.features.release(old)
                self.features.release(new)
        self.features.update_origins({}, names.keys())

    def _claim_both(self, old: str, new: str) -> bool:
        """Claim the old and the new id of a video, or neither."""
        if not self.claim(old):
            return False
        if self.claim(new):
            return True
        self.features.release(old)
        return False

    def _rename(self, names: Mapping[str, str]) -> None:
        """Rename the records of claimed videos, the features last."""
        for store in reversed(self.stores):
            taken = {video_of(name) for name in store.video_ids}
            free = {old: new for old, new in names.items() if new not in taken or new in names}
            store.rename(
                {
                    name: free[video_of(name)] + name[len(video_of(name)) :]
                    for name in records_of(store, free)
                }
            )

    def seal(self) -> None:
        """Merge small shards into larger ones.

        Raises:
            StoreError: The disk is full or cannot be written.
        """
        for store in self.stores:
            store.seal()
