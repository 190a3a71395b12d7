"""`deepseq weights`: list, fetch, import."""

from __future__ import annotations

from pathlib import Path

import click

from deepfake_seq.commands.options import EXISTING, json_option, print_json


@click.group()
def weights() -> None:
    """List, fetch or import weights files."""


@weights.command("list")
@json_option
def weights_list(as_json: bool) -> None:
    """Say which weights are on disk, and where they were looked for."""
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
    rows = [["name", "where"]]
    for name, path in found.items():
        looked = " and ".join(str(place.parent) for place in files.places(name))
        rows.append([name, str(path) if path else f"missing; looked in {looked}"])
    rows.append(["mtcnn", "comes inside the mtcnn package"])
    click.echo(console.table(rows))


@weights.command("fetch")
@click.argument("name")
def weights_fetch(name: str) -> None:
    """Download weights from their publisher and check them."""
    from deepfake_seq import weights as files

    click.echo(files.fetch(name))


@weights.command("import")
@click.argument("name")
@click.argument("file", type=EXISTING)
def weights_import(name: str, file: Path) -> None:
    """Take over weights that were fetched elsewhere, for machines without a network."""
    from deepfake_seq import weights as files

    click.echo(files.import_file(name, file))
