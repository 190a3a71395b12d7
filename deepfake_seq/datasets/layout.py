"""What every layout of a data set on the disk offers, and what it makes of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from deepfake_seq.datasets.items import VideoItem


class Coverage(NamedTuple):
    """How many videos of something were found, of how many that there are."""

    what: str
    found: int
    of: int


@dataclass(frozen=True)
class DataSet:
    """A data set as it was found.

    Attributes:
        layout: The layout that it was read by.
        name: What it is called (`celeb-df-v2`); for plain folders, the layout's name.
        home: The folder that holds it.
        items: Its videos, with all that the layout tells of them.
        coverage: What was found of what has been published or is listed; empty if nobody says.
        notes: What people should know of it, a sentence each.
    """

    layout: str
    name: str
    home: Path
    items: tuple[VideoItem, ...]
    coverage: tuple[Coverage, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_partial(self) -> bool:
        """Whether something is missing that has been published or is listed."""
        return any(row.found < row.of for row in self.coverage)


class Layout(Protocol):
    """A way to lay out a data set; the modules of this package that have these four are layouts."""

    NAME: str
    """What `--dataset` calls it."""

    LOOKS_FOR: str
    """What makes a folder one, for people."""

    def home(self, folder: Path, root: Path) -> Path | None:
        """The data set's folder if videos that lie right in `folder` are of this layout, else None.

        Args:
            folder: Absolute.
            root: Where the search began, absolute; `folder` is in it, the home may be above it.

        Raises:
            DatasetError: A list of the data set cannot be read.
        """

    def read(self, home: Path, items: Sequence[VideoItem]) -> DataSet:
        """The data set of `items`, all of which have this home.

        Raises:
            DatasetError: Its lists cannot be read, or contradict each other or the folders.
        """
