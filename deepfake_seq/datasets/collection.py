"""Find labelled videos: search, recognise data sets, read a CSV file, and drop second names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deepfake_seq.datasets.discovery import discover
from deepfake_seq.datasets.items import VideoItem
from deepfake_seq.datasets.labels_csv import LabelsReport, apply_labels
from deepfake_seq.datasets.layout import DataSet
from deepfake_seq.datasets.left_out import LeftOut
from deepfake_seq.datasets.recognition import AUTO, all_items, find_homes, read_homes
from deepfake_seq.datasets.same_file import one_per_file


@dataclass(frozen=True)
class Collection:
    """The labelled videos at some paths.

    Attributes:
        items: Each video once, with its label, split and groups.
        data_sets: The data sets recognised from folders and lists.
        labels: Report of the CSV file that overrides the values from the data sets, or None.
        left_out: Files, links and folders that are not used.
        other_names: Number of further paths, through links, of the videos.
    """

    items: Sequence[VideoItem]
    data_sets: Sequence[DataSet]
    labels: LabelsReport | None
    left_out: LeftOut
    other_names: int


def collect(
    paths: Sequence[Path],
    *,
    layout: str = AUTO,
    labels: Path | None = None,
    follow_links: bool = False,
) -> Collection:
    """Find the videos at `paths` with their labels.

    Args:
        paths: Files and folders.
        layout: Name of the only layout to look for; `auto` looks for all.
        labels: CSV file that overrides the values from the data sets; see `apply_labels`.
        follow_links: Whether to follow symbolic links that lead out of `paths`.

    Raises:
        UsageError: A path does not exist, or two files would get the same `video_id`.
        DatasetError: There is no video, or a list or the CSV file is invalid, or the paths of a
            file contradict each other.
    """
    found = discover(paths, follow_links=follow_links)
    homes = find_homes(found.items, layout)
    data_sets = read_homes(homes)
    items, report = all_items(data_sets), None
    if labels:
        items, report = apply_labels(items, labels)
    kept = one_per_file(items)
    other_names = {item.absolute for item in items} - {item.absolute for item in kept}
    if other_names:  # so that the data sets count each file once
        data_sets = read_homes(
            {
                home: [item for item in members if item.absolute not in other_names]
                for home, members in homes.items()
            }
        )
    return Collection(kept, data_sets, report, found.left_out, len(other_names))
