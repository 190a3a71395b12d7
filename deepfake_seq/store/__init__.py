"""What is kept of videos, in shards that are written once: features and faces. No framework needed.

A `FeatureStore` holds the features that stage 2 learns from, a `FaceStore` the crops that they were
made of. Both give the same guarantees: docs/store-format.md.
"""

from deepfake_seq.store.faces import FaceStore, faces_of, has_faces, open_faces, open_store
from deepfake_seq.store.features import FeatureBatch, FeatureStore
from deepfake_seq.store.records.entry import Entry
from deepfake_seq.store.records.face_record import FaceRecord
from deepfake_seq.store.records.fingerprint import Fingerprint
from deepfake_seq.store.records.metadata import FAILED_STATUSES, STATUSES, SourceFile
from deepfake_seq.store.records.record import FeatureRecord, Record
from deepfake_seq.store.shards.description import StoreDescription
from deepfake_seq.store.store import Store
from deepfake_seq.store.writer import FaceStoreWriter, StoreWriter

__all__ = [
    "FAILED_STATUSES",
    "STATUSES",
    "Entry",
    "FaceRecord",
    "FaceStore",
    "FaceStoreWriter",
    "FeatureBatch",
    "FeatureRecord",
    "FeatureStore",
    "Fingerprint",
    "Record",
    "SourceFile",
    "Store",
    "StoreDescription",
    "StoreWriter",
    "faces_of",
    "has_faces",
    "open_faces",
    "open_store",
]
