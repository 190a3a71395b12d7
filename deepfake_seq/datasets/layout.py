"""The protocol of data set layouts, and the data set that a layout returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from deepfake_seq.datasets.items import VideoItem


class Coverage(NamedTuple):
    """Number of videos found, compared with the number published or listed.

    Attributes:
        what: Name of the folder, method or list.
        found: Number of videos found.
        of: Expected number of videos.
    """

    what: str
    found: int
    of: int


@dataclass(frozen=True)
class DataSet:
    """A data set found on the disk.

    Attributes:
        layout: Name of the layout that read it.
        name: Name of the data set (`celeb-df-v2`); for plain folders, the name of the layout.
        home: Folder of the data set.
        items: Videos, with the labels, groups, splits and methods that the layout provides.
        coverage: Videos found of those published or listed; empty if their number is unknown.
        notes: Remarks for the user, one sentence each.
    """

    layout: str
    name: str
    home: Path
    items: tuple[VideoItem, ...]
    coverage: tuple[Coverage, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_partial(self) -> bool:
        """Whether published or listed videos are missing."""
        return any(row.found < row.of for row in self.coverage)


class Layout(Protocol):
    """A data set layout. Modules of this package implement it by defining these four names."""

    NAME: str
    """Value of `--dataset` that selects the layout."""

    LOOKS_FOR: str
    """Description, for messages, of the files and folders that the layout expects."""

    def home(self, folder: Path, root: Path) -> Path | None:
        """Return the data set's folder if videos directly in `folder` are of this layout, or None.

        Args:
            folder: Absolute path of a folder with videos.
            root: Absolute path of the root of the search. It contains `folder`; the data set's
                folder may be above it.

        Raises:
            DatasetError: A list of the data set cannot be read.
        """

    def read(self, home: Path, items: Sequence[VideoItem]) -> DataSet:
        """Read the data set of `items`, which all have this home.

        Raises:
            DatasetError: A list of the data set cannot be read, or contradicts another list or
                the folders.
        """
