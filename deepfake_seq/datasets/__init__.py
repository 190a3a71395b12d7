"""Labelled videos: find them, read their labels and groups, and split them."""

from deepfake_seq.datasets.discovery import discover
from deepfake_seq.datasets.group_assignment import connected_components
from deepfake_seq.datasets.items import FAKE, LABEL_NAMES, REAL, UNKNOWN, VideoItem
from deepfake_seq.datasets.labels_csv import apply_labels
from deepfake_seq.datasets.layout import Coverage, DataSet
from deepfake_seq.datasets.official import (
    add_duplicate_groups,
    official_split,
    shared_between_splits,
)
from deepfake_seq.datasets.recognition import LAYOUTS, all_items, recognise
from deepfake_seq.datasets.splits import Fold, Split, grouped_folds, split_by_group
from deepfake_seq.datasets.survey import (
    ClassCount,
    count_classes,
    distribution,
    groups_in_several_splits,
)

__all__ = [
    "FAKE",
    "LABEL_NAMES",
    "LAYOUTS",
    "REAL",
    "UNKNOWN",
    "ClassCount",
    "Coverage",
    "DataSet",
    "Fold",
    "Split",
    "VideoItem",
    "add_duplicate_groups",
    "all_items",
    "apply_labels",
    "connected_components",
    "count_classes",
    "discover",
    "distribution",
    "grouped_folds",
    "groups_in_several_splits",
    "official_split",
    "recognise",
    "shared_between_splits",
    "split_by_group",
]
