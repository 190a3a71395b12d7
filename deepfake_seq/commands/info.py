"""`deepseq info`: what is in a store or a run."""

from __future__ import annotations

from pathlib import Path

import click

from deepfake_seq.commands.options import EXISTING, json_option, labels_line, print_json, tell


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
    tell(f"store        {path}, {size / 1e6:.1f} MB")
    tell(f"videos       {labels_line(records)}")
    tell(f"status       {console.counts(statuses)}")
    tell(f"groups       {len(groups) or 'none: nobody said who is in which clip'}")
    tell(f"fingerprint  {store.fingerprint.id}")
    for part, values in fields.items():
        tell(f"  {part:10} {', '.join(f'{key} {value}' for key, value in values.items())}")
    for record in records:
        if record["status"] in FAILED_STATUSES:
            tell(f"failed       {record['video_id']}: {record['status']}: {record['reason']}")


def _run_info(path: Path, as_json: bool) -> None:
    from deepfake_seq import config, console
    from deepfake_seq.errors import RunError, UsageError
    from deepfake_seq.sequence import run
    from deepfake_seq.sequence.tables import metrics_rows
    from deepfake_seq.sequence.untrusted import read_json

    values = run.describe(path)
    try:
        metrics = read_json(path / run.METRICS, run.MOST_DESCRIPTION_BYTES)
        title = config.ModelConfig.from_dict(values["model"]).title
        if as_json:
            print_json({"run": str(path), **values, "metrics": metrics})
            return
        tell(f"run          {path}, {values['created']}")
        tell(f"model        {title}, {values['parameters']['total']:,} parameters")
        parts = ", ".join(f"{count} {name}" for name, count in values["split"].items())
        tell(f"clips        {parts}")
        tell(f"fingerprint  {values['fingerprint_id']}")
        decision = values["decision"]
        tell(f"threshold    {decision['threshold']:.3f}, by the rule {decision['rule']}")
        click.echo(console.table(metrics_rows(title, metrics)))
        for warning in values["warnings"]:
            tell(f"note         {warning}")
    except (ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
        raise RunError(f"{path} is damaged: {error!r}") from error
