"""Labelled videos: the options of `extract` and `dataset`, and their report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq.commands.options import EXISTING, option, together
from deepfake_seq.commands.output import echo_message
from deepfake_seq.errors import UsageError

if TYPE_CHECKING:
    from deepfake_seq.datasets import DataSet, VideoItem

LAYOUTS = ("auto", "folders", "celeb-df", "faceforensics", "dfdc")
_MAX_NAMES = 5
_HEADING = "Video"


@dataclass(frozen=True)
class Collection:
    """The videos at the paths of one call.

    Attributes:
        items: All videos, with their labels, splits and groups.
        data_sets: The data sets recognised from folders and lists.
        labels: CSV file that overrides the values from the data sets, or None.
        links: Links that were skipped because they lead out of the folders.
    """

    items: Sequence[VideoItem]
    data_sets: Sequence[DataSet]
    labels: Path | None
    links: Sequence[Path]


video_options = together(
    click.argument("paths", nargs=-1, type=EXISTING, metavar="PATH..."),
    option(
        "--dataset",
        type=click.Choice(LAYOUTS),
        default=LAYOUTS[0],
        show_default=True,
        heading=_HEADING,
        help="Layout of the videos; auto recognises it.",
    ),
    option(
        "--labels",
        type=EXISTING,
        heading=_HEADING,
        help="CSV file with the columns path,label and optionally group,split,method,source; it "
        "overrides the values from the data set.",
    ),
    option(
        "--follow-links",
        is_flag=True,
        heading=_HEADING,
        help="Also use links that lead out of the folders.",
    ),
)


def collect(paths: Sequence[Path], options: dict[str, Any]) -> Collection:
    """Find the videos that `video_options` select, and print what was skipped.

    Raises:
        UsageError: No path was given, or there is no video.
    """
    from deepfake_seq import datasets

    if not paths:
        raise UsageError("no videos given: name files or folders. Received: no PATH")
    found, links = datasets.discover(paths, follow_links=options["follow_links"])
    if links:
        echo_message(
            f"skipped {len(links)} links that lead out of the folders, the first is {links[0]}; "
            "--follow-links uses them"
        )
    data_sets = datasets.recognise(found, options["dataset"])
    items = datasets.all_items(data_sets)
    labels = options["labels"]
    if labels:
        items, unused = datasets.apply_labels(items, labels)
        if unused:
            echo_message(f"{len(unused)} rows of {labels} match no video, the first is {unused[0]}")
    return Collection(items, data_sets, labels, links)


def report(collection: Collection) -> str:
    """Return the report: data sets and their completeness, classes and groups."""
    from deepfake_seq import console, datasets

    lines: list[str] = []
    for data_set in collection.data_sets:
        lines += _coverage_lines(data_set)
    if collection.labels and any(data_set.coverage for data_set in collection.data_sets):
        lines.append(
            f"labels, groups, splits and methods come from {collection.labels} only, not from the "
            "data set"
        )
    for title, rows in datasets.distribution(collection.items).items():
        header = [title, "real", "fake", "unknown", "groups"]
        cells = [
            [row.name, *(f"{n:,}" for n in (row.real, row.fake, row.unknown, row.groups))]
            for row in rows
        ]
        lines += ["", console.table([header, *cells])]
    return "\n".join([*lines, "", _groups_line(collection.items), ""])


def _coverage_lines(data_set: DataSet) -> Iterator[str]:
    state = ", INCOMPLETE" if data_set.is_partial else ""
    yield f"{data_set.name} in {data_set.home}: {len(data_set.items):,} videos{state}"
    width = max((len(row.what) for row in data_set.coverage), default=0)
    for row in data_set.coverage:
        yield f"  {row.what:{width}}  {row.found:,} of {row.of:,}"
    for note in data_set.notes:
        yield f"  {note}"


def _groups_line(items: Sequence[VideoItem]) -> str:
    from deepfake_seq import datasets

    groups = {group for item in items for group in item.groups}
    if not groups:
        return "groups: none given (column `group` in --labels); splits may leak identities"
    shared = datasets.groups_in_several_splits(items)
    if not shared:
        return f"groups: {len(groups):,}, none in more than one split"
    names = ", ".join(shared[:_MAX_NAMES]) + (" …" if len(shared) > _MAX_NAMES else "")
    return f"groups: {len(groups):,}, {len(shared):,} in more than one split: {names}"
