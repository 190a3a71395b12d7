"""Stores of features and faces, in HDF5 shards that are written once; needs no framework.

A `FeatureStore` holds the features that stage 2 trains on, a `FaceStore` the face crops that the
features are computed from. Both give the same guarantees; see docs/store-format.md.
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
