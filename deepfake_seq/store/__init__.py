"""The feature cache: one record a video, in shards that are written once. No framework needed."""

from deepfake_seq.store.description import StoreDescription
from deepfake_seq.store.fingerprint import Fingerprint
from deepfake_seq.store.record import FAILED_STATUSES, STATUSES, FeatureRecord, SourceFile
from deepfake_seq.store.store import Entry, FeatureBatch, FeatureStore
from deepfake_seq.store.writer import StoreWriter

__all__ = [
    "FAILED_STATUSES",
    "STATUSES",
    "Entry",
    "FeatureBatch",
    "FeatureRecord",
    "FeatureStore",
    "Fingerprint",
    "SourceFile",
    "StoreDescription",
    "StoreWriter",
]
