"""Labelled videos: where they are, what they show, who is in them, and how they are split."""

from deepfake_seq.datasets.folder import discover
from deepfake_seq.datasets.items import FAKE, LABEL_NAMES, REAL, UNKNOWN, VideoItem
from deepfake_seq.datasets.labels_csv import apply_labels
from deepfake_seq.datasets.splits import Split, official_split, split_by_group

__all__ = [
    "FAKE",
    "LABEL_NAMES",
    "REAL",
    "UNKNOWN",
    "Split",
    "VideoItem",
    "apply_labels",
    "discover",
    "official_split",
    "split_by_group",
]
