"""Labelled videos as `extract` and `dataset` take and report them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq.commands.options import EXISTING, Command, echo_message, together
from deepfake_seq.errors import UsageError

if TYPE_CHECKING:
    from deepfake_seq.datasets import DataSet, VideoItem

LAYOUTS = ("auto", "folders", "celeb-df", "faceforensics", "dfdc")
_SHOWN = 5


@dataclass(frozen=True)
class Collection:
    """What was found at the paths of one call.

    Attributes:
        items: All videos, with what is told of them.
        data_sets: What they are of, as the folders tell it.
        labels: The CSV that tells all of them instead, if any.
        links: Links that were left out.
    """

    items: Sequence[VideoItem]
    data_sets: Sequence[DataSet]
    labels: Path | None
    links: Sequence[Path]


def video_options(command: Command) -> Command:
    """Which videos, and who tells what they are; `collect` reads them."""
    return together(
        command,
        click.argument("paths", nargs=-1, type=EXISTING, metavar="PATH..."),
        click.option(
            "--dataset",
            type=click.Choice(LAYOUTS),
            default=LAYOUTS[0],
            show_default=True,
            help="How the videos are laid out.",
        ),
        click.option(
            "--labels",
            type=EXISTING,
            help="CSV with path,label and, if known, group,split,method. It alone counts then.",
        ),
        click.option(
            "--follow-links", is_flag=True, help="Take links that lead out of the folders, too."
        ),
    )


def collect(paths: Sequence[Path], options: dict[str, Any]) -> Collection:
    """Find the videos that `video_options` ask for; says what was left out.

    Raises:
        UsageError: No path was given, or there is no video.
    """
    from deepfake_seq import datasets

    if not paths:
        raise UsageError("name the videos, or folders of videos. Received: no PATH")
    found, links = datasets.discover(paths, follow_links=options["follow_links"])
    if links:
        echo_message(
            f"{len(links)} links that lead out of the folders are left out, the first is "
            f"{links[0]}: --follow-links takes them"
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
    """Data sets and how complete they are, classes and groups, for people."""
    from deepfake_seq import console, datasets

    lines: list[str] = []
    for data_set in collection.data_sets:
        lines += _coverage_lines(data_set)
    if collection.labels and any(data_set.coverage for data_set in collection.data_sets):
        lines.append(
            f"{collection.labels} alone tells labels, groups, parts and methods; what the data set "
            "tells of them is not used"
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
        return "groups: none: nobody said who is in which clip"
    astray = datasets.groups_in_several_splits(items)
    if not astray:
        return f"groups: {len(groups):,}, none of them in more than one part"
    names = ", ".join(astray[:_SHOWN]) + (" …" if len(astray) > _SHOWN else "")
    return f"groups: {len(groups):,}, {len(astray):,} of them in more than one part: {names}"
