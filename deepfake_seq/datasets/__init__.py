"""Labelled videos: where they are, what they show, who is in them, and how they are split."""

from deepfake_seq.datasets.group_assignment import tied_units
from deepfake_seq.datasets.discovery import discover
from deepfake_seq.datasets.items import FAKE, LABEL_NAMES, REAL, UNKNOWN, VideoItem
from deepfake_seq.datasets.labels_csv import apply_labels
from deepfake_seq.datasets.layout import Coverage, DataSet
from deepfake_seq.datasets.official import official_split, shared, with_duplicates
from deepfake_seq.datasets.recognition import LAYOUTS, all_items, recognise
from deepfake_seq.datasets.splits import Fold, Split, grouped_folds, split_by_group
from deepfake_seq.datasets.survey import (
    ClassCount,
    count_classes,
    distribution,
    straddling_groups,
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
    "all_items",
    "apply_labels",
    "count_classes",
    "discover",
    "distribution",
    "grouped_folds",
    "official_split",
    "recognise",
    "shared",
    "split_by_group",
    "straddling_groups",
    "tied_units",
    "with_duplicates",
]
