"""`deepseq fit`: features to a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepfake_seq import config
from deepfake_seq.commands.options import PATH, json_option, print_json, say

_MODEL, _TRAIN = config.ModelConfig(), config.TrainConfig()


@click.command()
@click.option(
    "--features", type=PATH, default="features", show_default=True, help="The store to train on."
)
@click.option("--out", type=PATH, help="The run to make.  [default: runs/<time>-<model>]")
@click.option("--model", type=click.Choice(config.MODELS), default=_MODEL.name, show_default=True)
@click.option("--bidirectional", is_flag=True, help="Read the frames in both directions.")
@click.option("--dropout", type=float, default=_MODEL.dropout, show_default=True)
@click.option("--epochs", type=int, default=_TRAIN.epochs, show_default=True, help="At most.")
@click.option("--patience", type=int, default=_TRAIN.patience, show_default=True)
@click.option("--batch-size", type=int, default=_TRAIN.batch_size, show_default=True)
@click.option("--learning-rate", type=float, default=_TRAIN.learning_rate, show_default=True)
@click.option("--gamma", type=float, default=_TRAIN.gamma, show_default=True, help="Focal loss.")
@click.option("--validation", type=float, default=_TRAIN.validation, show_default=True)
@click.option("--test", type=float, default=_TRAIN.test, show_default=True)
@click.option("--seed", type=int, default=_TRAIN.seed, show_default=True)
@json_option
def fit(features: Path, out: Path | None, as_json: bool, **options: Any) -> None:
    """Train a model on a store, and judge it beside its baselines.

    Training, validation and test clips share no group (no person, no source video).
    """
    from datetime import datetime

    from deepfake_seq import console
    from deepfake_seq.sequence import fit as fitting
    from deepfake_seq.store import FeatureStore

    model_config = config.ModelConfig(
        options.pop("model"), options.pop("bidirectional"), options.pop("dropout")
    )
    train_config = config.TrainConfig(**options)
    out = out or Path("runs", f"{datetime.now():%Y%m%d-%H%M%S}-{model_config.title}")
    store = FeatureStore.open(features)
    with console.progress("fit", train_config.epochs, "epochs") as step:
        result = fitting.fit(
            store,
            out,
            model_config,
            train_config,
            on_epoch=lambda epoch, row: step(
                f"loss {row['loss']:.4f}, validation AUC {row['val_auc']:.3f}"
            ),
        )
    for warning in result.warnings:
        say(f"NOTE: {warning}")
    if as_json:
        report = {
            "run": str(out),
            "model": result.model,
            "parameters": result.parameters,
            "split": result.split,
            **result.metrics,
        }
        print_json(report)
        return
    parameters, split = result.parameters, result.split
    click.echo(f"{result.model}: {parameters['total']:,} parameters")
    click.echo(f"clips: {', '.join(f'{count} {name}' for name, count in split.items())}")
    if result.excluded:
        click.echo(f"left out: {console.counts(result.excluded)}")
    click.echo(console.metrics_table(result.model, result.metrics))
    click.echo(f"run: {out}")
