"""Recognise data sets by the layout of their folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from deepfake_seq.datasets import celeb_df, dfdc, faceforensics, fakeavceleb, folders
from deepfake_seq.datasets.items import VideoItem
from deepfake_seq.datasets.layout import DataSet, Layout
from deepfake_seq.errors import DatasetError

AUTO = "auto"

LAYOUTS: dict[str, Layout] = {
    layout.NAME: layout for layout in (faceforensics, celeb_df, fakeavceleb, dfdc, folders)
}
"""Layouts by name, in the order in which they are tried; plain folders match everything."""


Homes = Mapping[tuple[str, Path], Sequence[VideoItem]]
"""Videos of each data set, by the name of its layout and its folder."""


def recognise(items: Sequence[VideoItem], layout: str = AUTO) -> list[DataSet]:
    """Find the data sets that `items` belong to, and read their labels, groups and splits.

    The folder of a data set may be the root of the search, below it or above it, and there may be
    several data sets. Videos of no known layout are read as plain folders.

    Args:
        items: Videos found by `discover`.
        layout: Name of the only layout to look for; `auto` looks for all.

    Raises:
        DatasetError: A root contains no video of the requested layout, no video remains, or a
            list of a data set cannot be read or contradicts the files.
    """
    return read_homes(find_homes(items, layout))


def find_homes(items: Sequence[VideoItem], layout: str = AUTO) -> Homes:
    """Return the videos of each data set; see `recognise`."""
    candidates = list(LAYOUTS.values()) if layout == AUTO else [LAYOUTS[layout], folders]

    @cache
    def find_home(folder: Path, root: Path) -> tuple[str, Path]:
        homes = ((candidate.NAME, candidate.home(folder, root)) for candidate in candidates)
        return next((name, home) for name, home in homes if home)

    items_by_home: dict[tuple[str, Path], list[VideoItem]] = defaultdict(list)
    matches: dict[Path, bool] = {}
    for item in items:
        name, home = find_home(item.absolute.parent, item.root)
        items_by_home[name, home].append(item)
        matches[item.root] = matches.get(item.root, False) or layout in (AUTO, name)
    for root, is_match in matches.items():
        if not is_match:
            raise DatasetError(
                f"--dataset {layout} does not match: looked for {LAYOUTS[layout].LOOKS_FOR}. "
                f"Give the folder of the data set, or omit --dataset. Received: {root}"
            )
    return items_by_home


def read_homes(homes: Homes) -> list[DataSet]:
    """Read the data sets that `find_homes` found; see `recognise`."""
    found = sorted(
        (items[0].video_id, name, home, items) for (name, home), items in homes.items() if items
    )
    data_sets = [LAYOUTS[name].read(home, items) for _, name, home, items in found]
    if homes and not all_items(data_sets):
        notes = "; ".join(note for data_set in data_sets for note in data_set.notes)
        raise DatasetError(f"no videos to use: {notes}. Give the folder that contains the videos.")
    return data_sets


def all_items(data_sets: Iterable[DataSet]) -> list[VideoItem]:
    """Return the videos of all data sets, sorted by id."""
    items = (item for data_set in data_sets for item in data_set.items)
    return sorted(items, key=lambda item: item.video_id)
