"""Labelled videos: the options of `extract` and `dataset`, and their report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq.commands.options import EXISTING, option, together
from deepfake_seq.commands.output import echo_message, echo_notes
from deepfake_seq.errors import UsageError

if TYPE_CHECKING:
    from deepfake_seq.datasets import Collection, DataSet, VideoItem

LAYOUTS = ("auto", "folders", "celeb-df", "faceforensics", "dfdc", "fakeavceleb")
_MAX_NAMES = 5
_HEADING = "Video"


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
        "overrides the values from the data set. Other common names of the columns are read too.",
    ),
    option(
        "--follow-links",
        is_flag=True,
        heading=_HEADING,
        help="Also use links that lead out of the folders.",
    ),
)


def collect(paths: Sequence[Path], options: dict[str, Any]) -> Collection:
    """Find the videos that `video_options` select, and print notes on the CSV file of labels.

    Raises:
        UsageError: No path was given.
        DatasetError: There is no video, or labels are invalid or contradict each other.
    """
    from deepfake_seq import datasets

    if not paths:
        raise UsageError("no videos given: name files or folders. Received: no PATH")
    collection = datasets.collect(
        paths,
        layout=options["dataset"],
        labels=options["labels"],
        follow_links=options["follow_links"],
    )
    if collection.labels:
        echo_notes(collection.labels.notes)
    return collection


def report(collection: Collection) -> str:
    """Return the report: data sets and their completeness, what is left out, classes, groups."""
    from deepfake_seq import console, datasets

    lines: list[str] = []
    for data_set in collection.data_sets:
        lines += _coverage_lines(data_set)
    if collection.labels:
        lines += _labels_lines(collection)
    if collection.other_names:
        lines.append(f"{collection.other_names:,} other paths of the same files, through links")
    if left_out := list(collection.left_out.lines()):
        lines += ["left out:", *(f"  {line}" for line in left_out)]
    lines = [console.plain(line) for line in lines]
    for title, rows in datasets.distribution(collection.items).items():
        header = [title, "real", "fake", "unknown", "groups"]
        cells = [
            [row.name, *(f"{n:,}" for n in (row.real, row.fake, row.unknown, row.groups))]
            for row in rows
        ]
        lines += ["", console.table([header, *cells])]
    return "\n".join([*lines, "", _groups_line(collection.items), ""])


def warn_of_unlabelled(items: Sequence[VideoItem]) -> None:
    """Print how many videos have no label and how to give them one, if there are any."""
    from deepfake_seq import datasets

    count = sum(item.label == datasets.UNKNOWN for item in items)
    if not count:
        return
    echo_message(
        f"WARNING: {count:,} of {len(items):,} videos have no label, which `deepseq fit` needs"
    )
    if folders := datasets.unrecognised_classes(items):
        echo_message(f"folders not recognised as a class: {datasets.list_counts(folders)}")
    echo_message(
        "give --labels FILE.csv with the columns path,label and a row for every video, and run "
        "`deepseq extract` again (it only updates the labels); or put the videos into folders "
        "named real and fake"
    )


def _coverage_lines(data_set: DataSet) -> Iterator[str]:
    state = ", INCOMPLETE" if data_set.is_partial else ""
    yield f"{data_set.name} in {data_set.home}: {len(data_set.items):,} videos{state}"
    width = max((len(row.what) for row in data_set.coverage), default=0)
    for row in data_set.coverage:
        yield f"  {row.what:{width}}  {row.found:,} of {row.of:,}"
    for note in data_set.notes:
        yield f"  {note}"


def _labels_lines(collection: Collection) -> Iterator[str]:
    labels = collection.labels
    if labels is None:
        return
    matched = labels.rows - len(labels.unmatched_rows)
    yield (
        f"{labels.path}: {matched:,} of {labels.rows:,} rows match a video; columns used: "
        f"{', '.join(labels.columns)}"
    )
    if any(data_set.coverage for data_set in collection.data_sets):
        yield (
            f"labels, groups, splits and methods come from {labels.path} only, not from the data "
            "set"
        )


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
