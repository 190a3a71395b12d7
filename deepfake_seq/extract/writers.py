"""What a run writes to: the feature store and, if they are kept, the faces beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.store import FaceStoreWriter, StoreWriter, faces_of
from deepfake_seq.store.writer import Writer


@dataclass(frozen=True)
class Cache:
    """Two stores that are kept in step; a context manager.

    Attributes:
        features: The feature store.
        faces: The face cache; None where faces are not kept.
    """

    features: StoreWriter
    faces: FaceStoreWriter | None = None

    @classmethod
    def create(cls, path: Path, resolved: ResolvedConfig) -> Self:
        """The stores at `path`, to be made if they are not there.

        Raises:
            FingerprintMismatchError: A store there has another fingerprint; says what differs.
            StoreError: `path` is no directory, or there are shards without a description.
        """
        features = StoreWriter.create(path, resolved.description)
        if not resolved.extract_options.keep_faces:
            return cls(features)
        return cls(features, FaceStoreWriter.create(faces_of(path), resolved.faces_description))

    @property
    def stores(self) -> tuple[Writer[Any], ...]:
        """Those that there are."""
        return (self.features,) if self.faces is None else (self.features, self.faces)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for store in self.stores:
            store.close()

    def claim(self, video_id: str, *, wait: bool = False) -> bool:
        """Keep a video for this run; see `StoreWriter.claim`. It holds for both stores.

        Raises:
            StoreError: The directory cannot be written.
        """
        claimed = self.features.claim(video_id, wait=wait)
        if claimed and self.faces is not None:
            self.faces.refresh()
        return claimed

    def seal(self) -> None:
        """Pack small shards into larger ones.

        Raises:
            StoreError: The disk does not take them.
        """
        for store in self.stores:
            store.seal()
