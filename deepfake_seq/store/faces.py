"""The face cache: a store of crops, as a rule beside the features that were made of them."""

from __future__ import annotations

from pathlib import Path

from deepfake_seq.errors import StoreError
from deepfake_seq.store.features import FeatureStore
from deepfake_seq.store.records.face_record import FaceRecord
from deepfake_seq.store.shards.description import FILE_NAME, StoreDescription
from deepfake_seq.store.shards.index import listing
from deepfake_seq.store.shards.kinds import FACES, FEATURES
from deepfake_seq.store.store import Store

FOLDER = "faces"
"""Where the face cache of a feature store is in it."""


class FaceStore(Store[FaceRecord]):
    """The faces of videos by `video_id`, as image files; see `Store`."""

    kind = FACES

    @classmethod
    def open(cls, path: Path | str) -> FaceStore:
        """See `Store`."""
        return FaceStore(Path(path), StoreDescription.read(Path(path), FACES))


def faces_of(path: Path) -> Path:
    """Where the face cache of the feature store at `path` is, if it has one."""
    return path / FOLDER


def has_faces(path: Path) -> bool:
    """Whether the store at `path` has a face cache, be it damaged."""
    faces = faces_of(path)
    return faces.is_dir() and ((faces / FILE_NAME).exists() or bool(listing(faces)))


def open_faces(path: Path) -> FaceStore:
    """Open the face cache at `path`, or that of the feature store at `path`.

    Raises:
        StoreError: There is neither, or a file in it is not what it should be.
    """
    if StoreDescription.read(path, FACES).kind != FEATURES.name:
        return FaceStore.open(path)
    if not has_faces(path):
        raise StoreError(
            f"the feature store {path} has no face cache. `deepseq extract PATH --keep-faces "
            f"--out {path}` makes one."
        )
    return FaceStore.open(faces_of(path))


def open_store(path: Path) -> FeatureStore | FaceStore:
    """Open the store at `path`, of whatever kind.

    Raises:
        StoreError: There is none, or a file in it is not what it should be.
    """
    faces = StoreDescription.read(path).kind == FACES.name
    return FaceStore.open(path) if faces else FeatureStore.open(path)
