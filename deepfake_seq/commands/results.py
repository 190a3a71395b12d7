"""What came of a training, as `fit` and `finetune` tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from deepfake_seq.sequence.runs.writer import FitResult


def tell_data(result: FitResult) -> None:
    """What was trained on, before how well that went."""
    from deepfake_seq import console
    from deepfake_seq.sequence.reports.model_card import views_line

    click.echo(f"clips: {', '.join(f'{count} {part}' for part, count in result.split.items())}")
    if result.members > 1:
        click.echo("       each validated by a network that was not trained on it")
    if any(result.views.values()):
        click.echo(f"views: {views_line(result.views)}")
    if result.excluded:
        click.echo(f"left out: {console.counts(result.excluded)}")
    click.echo(f"imbalance: {result.balance}")


def tell_run(result: FitResult) -> None:
    """What a run is, and how well it does."""
    from deepfake_seq import console
    from deepfake_seq.sequence.reports.tables import metrics_rows

    tell_data(result)
    networks = f"{result.members} networks of " if result.members > 1 else ""
    click.echo(f"{result.model}: {networks}{result.parameters['total']:,} parameters")
    click.echo(console.table(metrics_rows(result.model, result.metrics)))
    click.echo(f"threshold: {result.threshold:.3f}, {result.decision} of {result.data}")
    click.echo(f"run: {result.folder}")


def run_report(result: FitResult) -> dict[str, Any]:
    """The same as one JSON document."""
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
