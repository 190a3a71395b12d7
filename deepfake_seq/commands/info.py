"""`deepseq info`: what is in a store or a run."""

from __future__ import annotations

from pathlib import Path

import click

from deepfake_seq.commands.options import EXISTING, json_option, labels_line, print_json


@click.command()
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
    records = [entry.metadata for entry in store.entries()]
    statuses = Counter(record["status"] for record in records)
    groups = {group for record in records for group in record["groups"]}
    size = sum(file.stat().st_size for file in path.glob("*.h5"))
    if as_json:
        print_json(
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
    click.echo(f"videos       {labels_line(records)}")
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
    from deepfake_seq.sequence.tables import metrics_rows

    values = run.describe(path)
    try:
        metrics = json.loads((path / run.METRICS).read_text())
        title = config.ModelConfig(**values["model"]).title
        if as_json:
            print_json({"run": str(path), **values, "metrics": metrics})
            return
        click.echo(f"run          {path}, {values['created']}")
        click.echo(f"model        {title}, {values['parameters']['total']:,} parameters")
        parts = ", ".join(f"{count} {name}" for name, count in values["split"].items())
        click.echo(f"clips        {parts}")
        click.echo(f"fingerprint  {values['fingerprint_id']}")
        decision = values["decision"]
        click.echo(f"threshold    {decision['threshold']:.3f}, by the rule {decision['rule']}")
        click.echo(console.table(metrics_rows(title, metrics)))
        for warning in values["warnings"]:
            click.echo(f"note         {warning}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {error!r}") from error
