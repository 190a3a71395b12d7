"""The commands round the main job: info, weights, doctor, demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from deepfake_seq.cli import (
    EXISTING,
    PATH,
    _labels_line,
    _print_json,
    app,
    json_option,
)


@app.command()
@click.argument("path", type=EXISTING)
@json_option
def info(path: Path, as_json: bool) -> None:
    """Say what is in a store or in a run."""
    from deepfake_seq.sequence import run

    if (path / run.DESCRIPTION).is_file():
        _run_info(path, as_json)
    else:
        _store_info(path, as_json)


def _store_info(path: Path, as_json: bool) -> None:
    from collections import Counter

    from deepfake_seq import console
    from deepfake_seq.store import FAILED_STATUSES, FeatureStore

    store = FeatureStore.open(path)
    records = [entry.metadata for entry in store.entries().values()]
    statuses = Counter(record["status"] for record in records)
    groups = {group for record in records for group in record["groups"]}
    size = sum(file.stat().st_size for file in path.glob("*.h5"))
    if as_json:
        _print_json(
            {
                "store": str(path),
                "fingerprint_id": store.fingerprint.id,
                "fingerprint": store.fingerprint.fields,
                "videos": len(records),
                "by_status": dict(statuses),
                "by_label": dict(Counter(str(record["label"]) for record in records)),
                "groups": len(groups),
                "bytes": size,
            }
        )
        return
    fields = store.fingerprint.fields
    click.echo(f"store        {path}, {size / 1e6:.1f} MB")
    click.echo(f"videos       {_labels_line(records)}")
    click.echo(f"status       {console.counts(statuses)}")
    click.echo(f"groups       {len(groups) or 'none: nobody said who is in which clip'}")
    click.echo(f"fingerprint  {store.fingerprint.id}")
    for part, values in fields.items():
        click.echo(f"  {part:10} {', '.join(f'{key} {value}' for key, value in values.items())}")
    for record in records:
        if record["status"] in FAILED_STATUSES:
            click.echo(f"failed       {record['video_id']}: {record['status']}: {record['reason']}")


def _run_info(path: Path, as_json: bool) -> None:
    import json

    from deepfake_seq import config, console
    from deepfake_seq.errors import RunError
    from deepfake_seq.sequence import run

    values = run.describe(path)
    try:
        metrics = json.loads((path / run.METRICS).read_text())
        title = config.ModelConfig(**values["model"]).title
        if as_json:
            _print_json({"run": str(path), **values, "metrics": metrics})
            return
        click.echo(f"run          {path}, {values['created']}")
        click.echo(f"model        {title}, {values['parameters']['total']:,} parameters")
        parts = ", ".join(f"{count} {name}" for name, count in values["split"].items())
        click.echo(f"clips        {parts}")
        click.echo(f"fingerprint  {values['fingerprint_id']}")
        click.echo(f"threshold    {values['threshold']:.3f}")
        click.echo(console.metrics_table(title, metrics))
        for warning in values["warnings"]:
            click.echo(f"note         {warning}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {error!r}") from error


@app.group()
def weights() -> None:
    """List, fetch or import weights files."""


@weights.command("list")
@json_option
def weights_list(as_json: bool) -> None:
    """Say which weights are on disk, and where they were looked for."""
    from deepfake_seq import console
    from deepfake_seq import weights as files

    found = {name: files.find(name) for name in files.WEIGHTS}
    if as_json:
        _print_json(
            [
                {
                    "name": name,
                    "file": files.WEIGHTS[name].filename,
                    "url": files.WEIGHTS[name].url,
                    "digest": files.WEIGHTS[name].digest or None,
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


@app.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say whether this machine is ready: versions, backends, devices, weights."""
    from dataclasses import asdict

    from deepfake_seq import console
    from deepfake_seq import doctor as examination

    findings = examination.examine()
    if as_json:
        _print_json([asdict(finding) for finding in findings])
    else:
        rows = [["", "what", "found"]]
        rows += [["ok" if f.ok else "FAIL", f.name, f.detail] for f in findings]
        click.echo(console.table(rows))
    if not all(finding.ok for finding in findings):
        sys.exit(1)


@app.command()
@click.option("--out", type=PATH, default="demo", show_default=True, help="Where it all goes.")
@json_option
def demo(out: Path, as_json: bool) -> None:
    """Do it all in a minute or two, offline, on clips that it makes itself."""
    from deepfake_seq.demo import show

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    summary: dict[str, Any] = show.run_demo(out, say)
    if as_json:
        _print_json(summary)
