"""How `fit` and `finetune` print the result of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from deepfake_seq.sequence.runs.writer import FitResult


def echo_data(result: FitResult) -> None:
    """Print the numbers of clips in each split, and how classes are balanced."""
    from deepfake_seq import console
    from deepfake_seq.sequence.reports.model_card import views_line

    click.echo(f"clips: {', '.join(f'{count} {name}' for name, count in result.split.items())}")
    if result.members > 1:
        click.echo("       each validated by a network that was not trained on it")
    if any(result.views.values()):
        click.echo(f"views: {views_line(result.views)}")
    if result.excluded:
        click.echo(f"left out: {console.counts(result.excluded)}")
    click.echo(f"imbalance: {result.balance}")


def echo_run(result: FitResult) -> None:
    """Print the model, metrics, threshold and folder of a run."""
    from deepfake_seq import console
    from deepfake_seq.sequence.reports.tables import block_rows, metrics_rows

    echo_data(result)
    networks = f"{result.members} networks of " if result.members > 1 else ""
    click.echo(f"{result.model}: {networks}{result.parameters['total']:,} parameters")
    click.echo(console.table(metrics_rows(result.model, result.metrics)))
    if blocks := result.metrics.get("block_r2"):
        click.echo(console.table(block_rows(blocks)))
    click.echo(f"threshold: {result.threshold:.3f}, {result.decision} of {result.data}")
    click.echo(f"run: {result.folder}")


def run_report(result: FitResult) -> dict[str, Any]:
    """Return the JSON document of a run."""
    return {
        "run": str(result.folder),
        "model": result.model,
        "members": result.members,
        "parameters": result.parameters,
        "split": result.split,
        "views": result.views,
        "threshold": result.threshold,
        "warnings": result.warnings,
        **result.metrics,
    }
