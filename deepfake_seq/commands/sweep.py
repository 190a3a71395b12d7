"""`deepseq sweep`: hyper-parameter search on validation clips."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq import config
from deepfake_seq.commands.options import (
    PATH,
    Command,
    echo_line,
    echo_message,
    json_option,
    print_json,
    together,
)
from deepfake_seq.commands.training import (
    balance_options,
    balance_setting,
    balance_values,
    duration_options,
    split_options,
    split_settings,
    trainer_option,
)

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from deepfake_seq.sequence.sweep.sweep import OnTraining, SweepResult
    from deepfake_seq.sequence.training.ensemble import ExperimentConfig

_TRAIN, _SWEEP = config.TrainConfig(), config.SweepConfig()
_SEARCHED = {
    "model": f"Models to try: {', '.join(config.SWEPT_MODELS)}.",
    "units": "Units of the recurrent layers, such as 64,32,16; repeat the option to try several.",
    "inputs": f"Model inputs to try: {', '.join(config.INPUTS)}.  [default: as for fit]",
    "dropout": "Dropout rates to try.",
    "learning_rate": "Learning rates to try; a range is sampled on a logarithmic scale.",
    "batch_size": "Batch sizes to try; a range is sampled on a logarithmic scale.",
    "gamma": "Focal loss exponents to try.",
}
_MAX_ROWS = 20


def _search_options(command: Command) -> Command:
    """Add an option with a list or a range for each setting that can be searched."""
    return together(
        command,
        *(
            click.option(
                f"--{name.replace('_', '-')}", name, multiple=True, metavar="VALUES", help=text
            )
            for name, text in _SEARCHED.items()
        ),
    )


@click.command()
@click.option(
    "--features",
    type=PATH,
    default="features",
    show_default=True,
    help="Feature store to train on.",
)
@click.option(
    "--out",
    type=PATH,
    help="Folder of the sweep; an unfinished sweep there is resumed.  [default: "
    "sweeps/<store>-<digest of the search>]",
)
@click.option(
    "--strategy",
    type=click.Choice(config.STRATEGIES),
    default=_SWEEP.strategy,
    show_default=True,
    help="grid tries every combination, random samples settings, tpe samples near good ones.",
)
@click.option(
    "--trials",
    type=int,
    help=f"Number of settings that random and tpe try.  [default: {_SWEEP.trials}]",
)
@click.option(
    "--seeds",
    type=int,
    default=_SWEEP.seeds,
    show_default=True,
    help="Number of seeds to train each setting with; settings are ranked by their mean.",
)
@_search_options
@duration_options
@balance_options
@split_options
@trainer_option
@click.option(
    "--seed",
    type=int,
    default=_TRAIN.seed,
    show_default=True,
    help="First of the training seeds; also the seed of the split and of the sampling.",
)
@json_option
def sweep(
    features: Path,
    out: Path | None,
    strategy: str,
    trials: int | None,
    seeds: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Search hyper-parameters by their validation AUC.

    VALUES is a list (1e-4,1e-3) or, for random and tpe, a range (1e-4:1e-2). By default, GRU and
    BiGRU are tried with three learning rates (random and tpe: within ranges). The store is read
    once, and test clips are never used. Every finished training is stored: after an interruption,
    the same command resumes the sweep.
    """
    from deepfake_seq.errors import UsageError
    from deepfake_seq.sequence.experiment import load_experiment
    from deepfake_seq.sequence.sweep import sweep as sweeping
    from deepfake_seq.sequence.sweep.space import Space
    from deepfake_seq.sequence.sweep.trials import require_optuna
    from deepfake_seq.sequence.training.ensemble import ExperimentConfig
    from deepfake_seq.store import FeatureStore

    if strategy == "grid" and trials is not None:
        raise UsageError(
            "a grid tries every setting: leave --trials out, or sample some with --strategy "
            f"random. Received: {trials}"
        )
    settings = config.SweepConfig(strategy, _SWEEP.trials if trials is None else trials, seeds)
    space = Space.read({name: options[name] for name in _SEARCHED}, strategy)
    train = config.TrainConfig(
        epochs=options["epochs"],
        patience=options["patience"],
        balance=balance_setting(options["balance"]),
        members=options["members"],
        seed=options["seed"],
        runtime=options["runtime"],
    )
    base = ExperimentConfig(train=train, split=split_settings(options))
    require_optuna()
    experiment = load_experiment(FeatureStore.open(features), base.split)
    plan = sweeping.Plan(experiment, space, base, settings)
    folder = out or plan.default_folder
    try:
        result = sweeping.sweep(plan, folder, partial(_progress, folder))
    except KeyboardInterrupt:
        echo_message(
            f"stopped; finished trainings are in {folder}: the same command resumes the sweep"
        )
        raise
    command = shlex.join(fit_arguments(features, result.best))
    for warning in dict.fromkeys(result.warnings):
        echo_message(f"NOTE: {warning}")
    if as_json:
        print_json(_report(folder, result, command))
    else:
        _tell(folder, result, command)


@contextmanager
def _progress(folder: Path, done: int, trials: int, trainings: int) -> Iterator[OnTraining]:
    """Show on stderr how far a sweep is."""
    from deepfake_seq import console

    if not trainings:
        echo_message(f"{folder} is complete: {trials} trials")
        yield lambda note: None
        return
    if done:
        echo_message(f"resuming {folder}: {done} of {trials} trials are finished")
    with console.progress(f"sweep, {trials} trials", trainings, "trainings") as step:
        yield step


def fit_arguments(features: Path, recipe: ExperimentConfig) -> list[str]:
    """The `fit` command that trains a recipe, without options that have their default value."""
    from deepfake_seq.commands.fit import fit
    from deepfake_seq.sequence.training.ensemble import ExperimentConfig

    values, usual = _fit_options(recipe), _fit_options(ExperimentConfig())
    words = ["deepseq", "fit", "--features", str(features), "--model", recipe.model.name]
    for option in fit.params:
        value = values.get(option.name or "")
        if value != usual.get(option.name or ""):
            each = value if isinstance(value, tuple) else (value,)
            for one in each:
                words += [option.opts[0]] if value is True else [option.opts[0], str(one)]
    return words


def _fit_options(recipe: ExperimentConfig) -> dict[str, Any]:
    """The values of a recipe by the names of `fit`'s parameters, but for the model's name."""
    model, train, split = recipe.model, recipe.train, recipe.split
    return {
        **asdict(model),
        **asdict(train),
        **asdict(split),
        "inputs": None if model.inputs == config.default_inputs(model.name) else model.inputs,
        "units": config.write_units(model.units),
        "balance": balance_values(train.balance),
        "split_strategy": split.strategy,
    }


def _tell(folder: Path, result: SweepResult, command: str) -> None:
    """Print the ranking, and how to train the best setting."""
    from deepfake_seq import console
    from deepfake_seq.sequence.sweep.files import TRIALS, rows

    parts, seeds = result.splits, len(result.plan.seeds)
    networks = f", {result.members} networks each" if result.members > 1 else ""
    echo_line(
        f"{len(result.ranked) + len(result.failed)} settings, {seeds} "
        f"seed{'s' if seeds > 1 else ''}{networks}; ranked on {parts['validation']} validation "
        f"clips, {parts['test']} test clips not used"
    )
    table = rows(result.ranked, result.failed, result.plan.space)
    click.echo(console.table(table[: _MAX_ROWS + 1]))
    if len(table) > _MAX_ROWS + 1:
        echo_line(f"and {len(table) - _MAX_ROWS - 1} more in {folder / TRIALS}")
    echo_line(f"sweep: {folder}")
    echo_line("Train and test the best setting:")
    echo_line(f"  {command}")


def _report(folder: Path, result: SweepResult, command: str) -> dict[str, Any]:
    """The JSON document."""
    return {
        "sweep": str(folder),
        "strategy": result.plan.config.strategy,
        "seeds": list(result.plan.seeds),
        "members": result.members,
        "clips": result.splits,
        "trials": result.trials,
        "settings": [
            _entry(trial, "auc", "auc_sd", "brier", "auc_by_seed") for trial in result.ranked
        ],
        "failed": [
            _entry(trial) | {"reason": trial.user_attrs["failed"]} for trial in result.failed
        ],
        "fit": command,
        "warnings": result.warnings,
    }


def _entry(trial: FrozenTrial, *names: str) -> dict[str, Any]:
    attributes = {name: trial.user_attrs[name] for name in ("setting", *names)}
    return {"trial": trial.number, **attributes}
