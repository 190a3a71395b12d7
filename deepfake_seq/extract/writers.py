"""The stores that a run writes to: features and, if they are kept, faces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from deepfake_seq.extract.resolve import ResolvedConfig
from deepfake_seq.store import FaceStoreWriter, StoreWriter, faces_of
from deepfake_seq.store.writer import Writer


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

    def seal(self) -> None:
        """Merge small shards into larger ones.

        Raises:
            StoreError: The disk is full or cannot be written.
        """
        for store in self.stores:
            store.seal()
