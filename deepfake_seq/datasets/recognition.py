"""Which data set each video is of, by how the folders are laid out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from deepfake_seq.datasets import celeb_df, dfdc, faceforensics, folders
from deepfake_seq.datasets.items import VideoItem
from deepfake_seq.datasets.layout import DataSet, Layout
from deepfake_seq.errors import DatasetError

AUTO = "auto"

LAYOUTS: dict[str, Layout] = {
    layout.NAME: layout for layout in (faceforensics, celeb_df, dfdc, folders)
}
"""By name, in the order in which they are tried; plain folders come last and take all."""


def recognise(items: Sequence[VideoItem], layout: str = AUTO) -> list[DataSet]:
    """Find the data sets that `items` are of, and what these tell of them.

    A data set may lie under the root of the search, be it, or hold it. Several may lie side by
    side. What is of no known layout is read as plain folders.

    Args:
        items: What `discover` found.
        layout: The only layout to look for; `auto` looks for all.

    Raises:
        DatasetError: Nothing under a root is of the layout asked for, nothing is left to use, or a
            list of a data set cannot be read or contradicts what it is a list of.
    """
    tried = list(LAYOUTS.values()) if layout == AUTO else [LAYOUTS[layout], folders]

    @cache
    def place(folder: Path, root: Path) -> tuple[str, Path]:
        homes = ((candidate.NAME, candidate.home(folder, root)) for candidate in tried)
        return next((name, home) for name, home in homes if home)

    found: dict[tuple[str, Path], list[VideoItem]] = defaultdict(list)
    fits: dict[Path, bool] = {}
    for item in items:
        name, home = place(item.absolute.parent, item.root)
        found[name, home].append(item)
        fits[item.root] = fits.get(item.root, False) or layout in (AUTO, name)
    for root, fit in fits.items():
        if not fit:
            raise DatasetError(
                f"--dataset {layout} does not fit: looked for {LAYOUTS[layout].LOOKS_FOR}. "
                f"Give the folder that holds it, or leave --dataset out. Received: {root}"
            )
    read = [LAYOUTS[name].read(home, own) for (name, home), own in found.items()]
    if items and not all_items(read):
        notes = "; ".join(note for data_set in read for note in data_set.notes)
        raise DatasetError(f"no videos to use: {notes}. Give the folder that holds the videos.")
    return read


def all_items(data_sets: Iterable[DataSet]) -> list[VideoItem]:
    """The videos of all data sets, in the order of their ids."""
    items = (item for data_set in data_sets for item in data_set.items)
    return sorted(items, key=lambda item: item.video_id)
