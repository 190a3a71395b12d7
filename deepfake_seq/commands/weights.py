"""`deepseq weights`: list, fetch or import weights files."""

from __future__ import annotations

from pathlib import Path

import click

from deepfake_seq.commands.options import EXISTING, json_option
from deepfake_seq.commands.output import print_json


@click.group()
def weights() -> None:
    """List, fetch or import weights files."""


@weights.command("list")
@json_option
def weights_list(as_json: bool) -> None:
    """List the weights on disk and the folders that are searched."""
    from deepfake_seq import console
    from deepfake_seq import weights as files
    from deepfake_seq.published import WEIGHTS

    found = {name: files.find(name) for name in WEIGHTS}
    if as_json:
        print_json(
            [
                {
                    "name": name,
                    "file": WEIGHTS[name].filename,
                    "url": WEIGHTS[name].url,
                    "digest": WEIGHTS[name].digest or None,
                    "path": str(path) if path else None,
                    "looked_in": [str(place.parent) for place in files.places(name)],
                }
                for name, path in found.items()
            ]
        )
        return
    rows = [["name", "path"]]
    for name, path in found.items():
        searched = " and ".join(str(place.parent) for place in files.places(name))
        rows.append([name, str(path) if path else f"missing (searched {searched})"])
    rows.append(["mtcnn", "included in the mtcnn package"])
    click.echo(console.table(rows))


@weights.command("fetch")
@click.argument("name")
def weights_fetch(name: str) -> None:
    """Download weights from their publisher and verify them.

    NAME is a name that `deepseq weights list` prints.
    """
    from deepfake_seq import weights as files

    click.echo(files.fetch(name))


@weights.command("import")
@click.argument("name")
@click.argument("file", type=EXISTING)
def weights_import(name: str, file: Path) -> None:
    """Copy in weights downloaded on another machine.

    NAME is a name that `deepseq weights list` prints, FILE the downloaded file.
    """
    from deepfake_seq import weights as files

    click.echo(files.import_file(name, file))
