"""`deepseq dataset`: what a data set contains, without decoding a video."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq.commands.options import PICTURE, command, json_option, option
from deepfake_seq.commands.output import print_json, writing
from deepfake_seq.commands.videos import collect, report, video_options, warn_of_unlabelled

if TYPE_CHECKING:
    from deepfake_seq.datasets import Collection


@command()
@video_options
@option("--figure", type=PICTURE, help="PNG or JPEG file to write: a bar chart of the classes.")
@json_option
def dataset(paths: tuple[Path, ...], figure: Path | None, as_json: bool, **options: Any) -> None:
    """Report what a data set contains and what is missing.

    No video is opened. Celeb-DF, FaceForensics++, DFDC and FakeAVCeleb are recognised by their
    folders and lists; other videos are labelled by folders with names such as real, fakes or
    original_videos, or by --labels.
    """
    from deepfake_seq import atomic
    from deepfake_seq.datasets import distribution
    from deepfake_seq.datasets.plot import draw_classes

    collection = collect(paths, options)
    if figure:
        picture = draw_classes(distribution(collection.items), figure.suffix[1:].lower())
        with writing(figure, "--figure"):
            atomic.write_bytes(figure, picture)
    if as_json:
        print_json({**_summary(collection), "figure": str(figure) if figure else None})
        return
    click.echo(report(collection).rstrip())
    if figure:
        click.echo(f"figure: {figure}")
    warn_of_unlabelled(collection.items)


def _summary(collection: Collection) -> dict[str, Any]:
    """Return the JSON document."""
    from deepfake_seq.datasets import (
        count_classes,
        distribution,
        groups_in_several_splits,
        unrecognised_classes,
    )

    items, left_out, labels = collection.items, collection.left_out, collection.labels
    tables = distribution(items)
    shared_groups = groups_in_several_splits(items)
    return {
        "videos": len(items),
        "data_sets": [
            {
                "name": data_set.name,
                "layout": data_set.layout,
                "path": str(data_set.home),
                "videos": len(data_set.items),
                "complete": not data_set.is_partial,
                "coverage": [row._asdict() for row in data_set.coverage],
                "notes": list(data_set.notes),
            }
            for data_set in collection.data_sets
        ],
        "labels": str(labels.path) if labels else None,
        "label_rows": {
            "rows": labels.rows,
            "unmatched": len(labels.unmatched_rows),
            "videos_without_row": len(labels.unmatched_videos),
            "columns": list(labels.columns),
        }
        if labels
        else None,
        "all": asdict(count_classes("all videos", items)),
        "by_part": [asdict(row) for row in tables.get("split", [])],
        "by_method": [asdict(row) for row in tables.get("method", [])],
        "groups_in_several_parts": {"count": len(shared_groups), "first": shared_groups[:10]},
        "unrecognised_folders": dict(unrecognised_classes(items)),
        "other_names": collection.other_names,
        "links_left_out": len(left_out.links),
        "left_out": {
            "files": dict(left_out.suffixes),
            "broken_links": len(left_out.broken_links),
            "unreadable_folders": len(left_out.unreadable),
            "bad_names": len(left_out.bad_names),
        },
    }
