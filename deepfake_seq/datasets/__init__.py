"""Labelled videos: find them, read their labels and groups, and split them."""

from deepfake_seq.datasets.collection import Collection, collect
from deepfake_seq.datasets.discovery import Discovery, discover
from deepfake_seq.datasets.folders import list_counts, unrecognised_classes
from deepfake_seq.datasets.group_assignment import connected_components
from deepfake_seq.datasets.items import FAKE, LABEL_NAMES, REAL, UNKNOWN, VideoItem
from deepfake_seq.datasets.labels_csv import LabelsReport, apply_labels
from deepfake_seq.datasets.layout import Coverage, DataSet
from deepfake_seq.datasets.left_out import LeftOut
from deepfake_seq.datasets.official import (
    add_duplicate_groups,
    official_split,
    shared_between_splits,
)
from deepfake_seq.datasets.recognition import LAYOUTS, all_items, recognise
from deepfake_seq.datasets.same_file import one_per_file
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
    "Collection",
    "Coverage",
    "DataSet",
    "Discovery",
    "Fold",
    "LabelsReport",
    "LeftOut",
    "Split",
    "VideoItem",
    "add_duplicate_groups",
    "all_items",
    "apply_labels",
    "collect",
    "connected_components",
    "count_classes",
    "discover",
    "distribution",
    "grouped_folds",
    "groups_in_several_splits",
    "list_counts",
    "official_split",
    "one_per_file",
    "recognise",
    "shared_between_splits",
    "split_by_group",
    "unrecognised_classes",
]
