"""Layout of plain folders: the nearest folder called `real`, `fake` or similar sets the label."""

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
    """Return the label of the nearest folder of `path` in `FOLDER_LABELS`, or unknown."""
    for parent in path.parents:
        label = FOLDER_LABELS.get(parent.name.lower())
        if label is not None:
            return label
    return UNKNOWN


def home(folder: Path, root: Path) -> Path | None:
    """Return the root of the search: any folder matches; see `Layout`."""
    del folder
    return root


def read(home: Path, items: Sequence[VideoItem]) -> DataSet:
    """Return the videos unchanged: `discover` has already set their labels."""
    return DataSet(NAME, NAME, home, tuple(items))
