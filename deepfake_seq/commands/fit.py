"""`deepseq fit`: features to a trained model, or to what several rounds of training say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq import config
from deepfake_seq.commands.options import PATH, echo_message, json_option, print_json
from deepfake_seq.commands.results import run_report, tell_data, tell_run
from deepfake_seq.commands.training import (
    balance_options,
    balance_setting,
    decision_options,
    decision_settings,
    duration_options,
    split_options,
    split_settings,
    trainer_option,
)
from deepfake_seq.errors import UsageError

if TYPE_CHECKING:
    from deepfake_seq.sequence.training.ensemble import ExperimentConfig

_MODEL, _TRAIN = config.ModelConfig(), config.TrainConfig()
_ALL = "all"


@click.command()
@click.option(
    "--features", type=PATH, default="features", show_default=True, help="The store to train on."
)
@click.option("--out", type=PATH, help="The run to make.  [default: runs/<time>-<model>]")
@click.option(
    "--model",
    type=click.Choice([*config.MODELS, _ALL]),
    default=_MODEL.name,
    show_default=True,
    help="all compares them, and shows whether the order of frames is used.",
)
@click.option("--bidirectional", is_flag=True, help="Read the frames in both directions.")
@click.option(
    "--inputs",
    type=click.Choice(config.INPUTS),
    help="The features, how much they change between frames, or both.  [default: features; for "
    "logistic: both]",
)
@click.option("--shuffle-frames", is_flag=True, help="A control: hide the order of frames.")
@click.option(
    "--units",
    default=config.write_units(_MODEL.units),
    show_default=True,
    help="Of the recurrent layers, from the first to the last.",
)
@click.option("--dropout", type=float, default=_MODEL.dropout, show_default=True)
@duration_options
@click.option("--batch-size", type=int, default=_TRAIN.batch_size, show_default=True)
@click.option("--learning-rate", type=float, default=_TRAIN.learning_rate, show_default=True)
@click.option("--gamma", type=float, default=_TRAIN.gamma, show_default=True, help="Focal loss.")
@balance_options
@split_options
@decision_options
@click.option("--seed", type=int, default=_TRAIN.seed, show_default=True)
@trainer_option
@click.option("--folds", type=click.IntRange(2, 100), help="Cross-validate; makes no model.")
@click.option(
    "--seeds", type=click.IntRange(1, 100), help="Repeat with so many seeds; makes no model."
)
@json_option
def fit(
    features: Path,
    out: Path | None,
    folds: int | None,
    seeds: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a model on a store, and judge it beside its baselines.

    Training, validation and test clips share no group (no person, no source video). With --folds or
    --seeds, no model is kept, but a study of how well it does and how much of that is luck.
    """
    from datetime import datetime

    recipes = _recipes(**options)
    title = recipes[0].model.title if len(recipes) == 1 else _ALL
    out = out or Path("runs", f"{datetime.now():%Y%m%d-%H%M%S}-{title}")
    if folds or seeds:
        _study(features, out, recipes, folds or 0, seeds or 1, as_json)
    else:
        _fit(features, out, recipes, as_json)


def _recipes(**options: Any) -> list[ExperimentConfig]:
    """One recipe, or those of all models."""
    from deepfake_seq.sequence.training.ensemble import ExperimentConfig

    common = ExperimentConfig(
        train=config.TrainConfig(
            epochs=options["epochs"],
            batch_size=options["batch_size"],
            learning_rate=options["learning_rate"],
            patience=options["patience"],
            gamma=options["gamma"],
            balance=balance_setting(options["balance"]),
            members=options["members"],
            seed=options["seed"],
            runtime=options["runtime"],
        ),
        split=split_settings(options),
        decision=decision_settings(options),
    )
    return [replace(common, model=model) for model in _models(**options)]


def _models(
    model: str,
    bidirectional: bool,
    inputs: str | None,
    shuffle_frames: bool,
    units: str,
    dropout: float,
    **_: Any,
) -> list[config.ModelConfig]:
    from deepfake_seq.sequence.cross_validation import CONTENDERS

    layers = config.read_units(units)
    if model == _ALL:
        if bidirectional or shuffle_frames:
            raise UsageError(
                "--model all has a bidirectional and a shuffled model: leave those options out"
            )
        chosen = [replace(own, dropout=dropout, inputs=inputs or own.inputs) for own in CONTENDERS]
        return [
            replace(own, units=layers) if own.name in config.RECURRENT else own for own in chosen
        ]
    inputs = inputs or config.default_inputs(model)
    return [config.ModelConfig(model, bidirectional, dropout, inputs, shuffle_frames, layers)]


def _fit(features: Path, out: Path, recipes: list[ExperimentConfig], as_json: bool) -> None:
    """One run in `out`, or one for each recipe in a folder of its own there."""
    from deepfake_seq import console
    from deepfake_seq.sequence import fit as fitting
    from deepfake_seq.sequence.experiment import load_experiment
    from deepfake_seq.sequence.reports.tables import runs_rows
    from deepfake_seq.sequence.runs.writer import require_new
    from deepfake_seq.store import FeatureStore

    require_new(out)
    experiment = load_experiment(FeatureStore.open(features), recipes[0].split)
    results = []
    for recipe in recipes:
        title = recipe.model.title
        folder = out if len(recipes) == 1 else out / title
        total = recipe.train.epochs * fitting.count_members(experiment, recipe)
        with console.progress(f"fit {title}", total, "epochs") as step:
            results.append(
                fitting.fit(experiment, folder, recipe, lambda _, row: step(_epoch(row)))
            )
    for warning in dict.fromkeys(warning for own in results for warning in own.warnings):
        echo_message(f"NOTE: {warning}")
    if as_json:
        reports = {own.model: run_report(own) for own in results}
        print_json(reports if len(results) > 1 else reports[results[0].model])
        return
    if len(results) > 1:
        tell_data(results[0])
        click.echo(console.table(runs_rows({own.model: own.metrics for own in results})))
        click.echo(f"runs: {', '.join(str(own.folder) for own in results)}")
    else:
        tell_run(results[0])


def _epoch(row: dict[str, float]) -> str:
    loss, auc = f"loss {row['loss']:.4f}", row["val_auc"]
    return loss if auc != auc else f"{loss}, validation AUC {auc:.3f}"  # NaN: there is none


def _study(
    features: Path,
    out: Path,
    recipes: list[ExperimentConfig],
    folds: int,
    seeds: int,
    as_json: bool,
) -> None:
    from deepfake_seq import console
    from deepfake_seq.sequence import cross_validation as studying
    from deepfake_seq.sequence.experiment import load_clips
    from deepfake_seq.sequence.reports.tables import study_rows
    from deepfake_seq.sequence.runs.writer import require_new
    from deepfake_seq.store import FeatureStore

    require_new(out)
    split = recipes[0].split
    if folds and split.strategy == "official":
        raise UsageError("--folds splits by group: leave --split official out")
    clips = load_clips(FeatureStore.open(features), split.seed)
    total = len(recipes) * (folds or 1) * seeds
    with console.progress("fit", total, "trainings") as step:
        found = studying.study(clips, recipes, folds, seeds, on_training=step)
    studying.save(out, found)
    for warning in found.warnings:
        echo_message(f"NOTE: {warning}")
    if as_json:
        print_json({"study": str(out), **found.summary, "warnings": found.warnings})
        return
    click.echo(console.table(study_rows(found.summary["models"])))
    click.echo(f"study: {out}")
