"""The face cache: a store of face crops, usually inside the feature store made from them."""

from __future__ import annotations

from pathlib import Path

from deepfake_seq.errors import StoreError
from deepfake_seq.store.features import FeatureStore
from deepfake_seq.store.records.face_record import FaceRecord
from deepfake_seq.store.shards.description import FILE_NAME, StoreDescription
from deepfake_seq.store.shards.index import list_shards
from deepfake_seq.store.shards.kinds import FACES, FEATURES
from deepfake_seq.store.store import Store

FOLDER = "faces"
"""Name of the folder with the face cache inside a feature store."""


class FaceStore(Store[FaceRecord]):
    """Face crops of videos by `video_id`, as image files; see `Store`."""

    kind = FACES

    @classmethod
    def open(cls, path: Path | str) -> FaceStore:
        """See `Store`."""
        return FaceStore(Path(path), StoreDescription.read(Path(path), FACES))


def faces_of(path: Path) -> Path:
    """Return the path of the face cache of the feature store at `path`; it need not exist."""
    return path / FOLDER


def store_of(faces: Path) -> Path:
    """Return the feature store that contains a face cache; the cache if it is not in a store."""
    home = faces.parent
    is_inside = faces_of(home) == faces and (home / FILE_NAME).exists()
    return home if is_inside else faces


def has_faces(path: Path) -> bool:
    """Return whether the store at `path` has a face cache, intact or damaged."""
    faces = faces_of(path)
    return faces.is_dir() and ((faces / FILE_NAME).exists() or bool(list_shards(faces)))


def open_faces(path: Path) -> FaceStore:
    """Open the face cache at `path`, or the face cache of the feature store at `path`.

    Raises:
        StoreError: There is neither, or a file in it is damaged.
    """
    if StoreDescription.read(path, FACES).kind != FEATURES.name:
        return FaceStore.open(path)
    if not has_faces(path):
        raise StoreError(
            f"the feature store {path} has no face cache. Make one with `deepseq extract PATH "
            f"--keep-faces --out {path}`."
        )
    return FaceStore.open(faces_of(path))


def open_store(path: Path) -> FeatureStore | FaceStore:
    """Open the feature store or face cache at `path`.

    Raises:
        StoreError: There is none, or a file in it is damaged.
    """
    faces = StoreDescription.read(path).kind == FACES.name
    return FaceStore.open(path) if faces else FeatureStore.open(path)
