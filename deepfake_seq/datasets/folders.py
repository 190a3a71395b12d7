"""Plain folders: the nearest one with a telling name gives the label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deepfake_seq.datasets import celeb_df
from deepfake_seq.datasets.items import FAKE, REAL, UNKNOWN, VideoItem
from deepfake_seq.datasets.layout import DataSet

NAME = "folders"
LOOKS_FOR = "videos"

FOLDER_LABELS = {"real": REAL, "fake": FAKE, **celeb_df.FOLDER_LABELS}


def label_of(path: Path) -> int:
    """The label that the nearest telling folder name of `path` gives, or unknown."""
    for parent in path.parents:
        label = FOLDER_LABELS.get(parent.name.lower())
        if label is not None:
            return label
    return UNKNOWN


def home(folder: Path, root: Path) -> Path | None:
    """Where the search began: any folder will do."""
    del folder
    return root


def read(home: Path, items: Sequence[VideoItem]) -> DataSet:
    """The videos with the labels that they have: folder names are read when they are found."""
    return DataSet(NAME, NAME, home, tuple(items))
