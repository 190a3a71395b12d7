"""`deepseq evaluate`: metrics of a run on a feature store."""

from __future__ import annotations

from pathlib import Path

import click

from deepfake_seq.commands.options import (
    EXISTING,
    PATH,
    command,
    features_option,
    json_option,
    option,
)
from deepfake_seq.commands.output import echo_line, echo_notes, print_json


@command()
@click.argument("run_folder", type=PATH, metavar="RUN")
@features_option("evaluate on")
@option(
    "--videos",
    type=EXISTING,
    help="Folder of the videos, to show frames of the worst mistakes in the report.",
)
@option(
    "--out",
    type=PATH,
    show_default="RUN if the store contains its test clips, else RUN/evaluations/<store>",
    help="Output folder.",
)
@json_option
def evaluate(
    run_folder: Path, features: Path, videos: Path | None, out: Path | None, as_json: bool
) -> None:
    """Evaluate a run on a feature store and write a report.

    Writes metrics.json and report.html. Only test and validation clips of the run, and clips
    unrelated to its training clips, are evaluated.
    """
    from deepfake_seq import console
    from deepfake_seq import evaluate as evaluating
    from deepfake_seq.sequence.reports.tables import metrics_rows
    from deepfake_seq.sequence.runs import run
    from deepfake_seq.store import FeatureStore

    store = FeatureStore.open(features)
    folder, evaluation = evaluating.evaluate(run_folder, store, videos=videos, out=out)
    echo_notes(evaluation.warnings)
    written = {"metrics": str(folder / run.METRICS), "report": str(folder / evaluating.REPORT)}
    if as_json:
        print_json({"run": str(run_folder), "files": written, **evaluation.metrics})
        return
    totals = {kind: sum(counts.values()) for kind, counts in evaluation.counts.items()}
    echo_line(f"clips: {console.counts({kind: count for kind, count in totals.items() if count})}")
    if evaluation.excluded:
        echo_line(f"left out: {console.counts(dict(evaluation.excluded))}")
    click.echo(console.table(metrics_rows(evaluation.model, evaluation.metrics)))
    for name, path in written.items():
        echo_line(f"{name}: {path}")
