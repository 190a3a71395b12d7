"""`deepseq dataset`: what a data set contains, without decoding a video."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from deepfake_seq.commands.options import PICTURE, command, json_option, option
from deepfake_seq.commands.output import print_json, writing
from deepfake_seq.commands.videos import Collection, collect, report, video_options


@command()
@video_options
@option("--figure", type=PICTURE, help="PNG or JPEG file to write: a bar chart of the classes.")
@json_option
def dataset(paths: tuple[Path, ...], figure: Path | None, as_json: bool, **options: Any) -> None:
    """Report what a data set contains and what is missing.

    No video is opened. Celeb-DF, FaceForensics++ and DFDC are recognised by their folders and
    lists; other videos are labelled by folders named real and fake, or by --labels.
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


def _summary(collection: Collection) -> dict[str, Any]:
    """Return the JSON document."""
    from deepfake_seq.datasets import count_classes, distribution, groups_in_several_splits

    items = collection.items
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
        "labels": str(collection.labels) if collection.labels else None,
        "all": asdict(count_classes("all videos", items)),
        "by_part": [asdict(row) for row in tables.get("split", [])],
        "by_method": [asdict(row) for row in tables.get("method", [])],
        "groups_in_several_parts": {"count": len(shared_groups), "first": shared_groups[:10]},
        "links_left_out": len(collection.links),
    }
