"""`deepseq sweep`: hyper-parameter search on validation clips."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq import config
from deepfake_seq.commands.options import (
    PATH,
    as_options,
    command,
    features_option,
    from_options,
    json_option,
    option,
    option_of,
    options_of,
    together,
)
from deepfake_seq.commands.output import echo_line, echo_message, echo_notes, print_json
from deepfake_seq.commands.training import (
    TRAINING,
    balance_options,
    duration_options,
    min_epochs_option,
    pseudo_fakes_option,
    split_options,
    trainer_option,
)
from deepfake_seq.errors import UsageError

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from deepfake_seq.sequence.sweep.sweep import OnTraining, SweepResult
    from deepfake_seq.sequence.training.ensemble import ExperimentConfig

_SEARCHED = {
    "model": f"Models to try: {', '.join(config.SWEPT_MODELS)}.",
    "units": "Units of the recurrent layers, such as 64,32,16; repeat the option to try several.",
    "inputs": f"Model inputs to try: {', '.join(config.INPUTS)}.",
    "dropout": "Dropout rates to try.",
    "learning_rate": "Learning rates to try; a range is sampled on a logarithmic scale.",
    "batch_size": "Batch sizes to try; a range is sampled on a logarithmic scale.",
    "gamma": "Focal loss exponents to try.",
}
_MAX_ROWS = 20

_search_options = together(
    *(
        option(
            f"--{name.replace('_', '-')}",
            multiple=True,
            metavar="VALUES",
            heading="Search",
            show_default="same as fit" if name == "inputs" else None,
            help=text,
        )
        for name, text in _SEARCHED.items()
    )
)


@command()
@features_option("train on")
@option(
    "--out",
    type=PATH,
    show_default="sweeps/<store>-<digest of the search>",
    help="Folder of the sweep; an unfinished sweep in it is resumed.",
)
@options_of(config.SweepConfig, "strategy", heading="Search")
@option_of(
    config.SweepConfig,
    "trials",
    "Search",
    default=None,
    show_default=str(config.SweepConfig().trials),
)
@options_of(config.SweepConfig, "seeds", heading="Search")
@_search_options
@duration_options
@min_epochs_option
@balance_options
@pseudo_fakes_option
@split_options
@trainer_option
@option_of(
    config.TrainConfig,
    "seed",
    TRAINING,
    help="First of the training seeds; also the seed of the split and of the sampling.",
)
@json_option
def sweep(features: Path, out: Path | None, as_json: bool, **options: Any) -> None:
    """Search hyper-parameters by validation AUC.

    VALUES is a list (1e-4,1e-3) or, for random and tpe, a range (1e-4:1e-2). By default, GRU and
    BiGRU are tried with three learning rates (random and tpe: within ranges). The store is read
    once, and test clips are never used. Every finished training is stored: after an interruption,
    the same command resumes the sweep.
    """
    from deepfake_seq.sequence.experiment import load_experiment
    from deepfake_seq.sequence.sweep import sweep as sweeping
    from deepfake_seq.sequence.sweep.space import Space
    from deepfake_seq.sequence.sweep.trials import require_optuna
    from deepfake_seq.sequence.training.ensemble import ExperimentConfig
    from deepfake_seq.store import FeatureStore

    strategy, trials = options["strategy"], options["trials"]
    if strategy == "grid" and trials is not None:
        raise UsageError(
            "a grid tries every setting: leave --trials out, or sample some with --strategy "
            f"random. Received: {trials}"
        )
    space = Space.read({name: options.pop(name) for name in _SEARCHED}, strategy)
    base = ExperimentConfig(
        train=from_options(config.TrainConfig, options),
        split=from_options(config.SplitConfig, options),
    )
    require_optuna()
    experiment = load_experiment(FeatureStore.open(features), base.split)
    plan = sweeping.Plan(experiment, space, base, from_options(config.SweepConfig, options))
    folder = out or plan.default_folder
    try:
        result = sweeping.sweep(plan, folder, partial(_progress, folder))
    except KeyboardInterrupt:
        echo_message(
            f"stopped; finished trainings are in {folder}: the same command resumes the sweep"
        )
        raise
    fit_command = shlex.join(fit_arguments(features, result.best))
    echo_notes(result.warnings)
    if as_json:
        print_json(_report(folder, result, fit_command))
    else:
        _print(folder, result, fit_command)


@contextmanager
def _progress(folder: Path, done: int, trials: int, trainings: int) -> Iterator[OnTraining]:
    """Show the progress of a sweep on stderr."""
    from deepfake_seq import console

    if not trainings:
        echo_message(f"{folder} is complete: {trials} trials")
        yield lambda note: None
        return
    if done:
        echo_message(f"resuming {folder}: {done} of {trials} trials are finished")
    with console.progress(f"sweep, {trials} trials", trainings, "trainings") as step:
        yield step


def fit_arguments(features: Path, experiment: ExperimentConfig) -> list[str]:
    """Return the `fit` command of an experiment, without options that have their default value."""
    from deepfake_seq.commands.fit import fit
    from deepfake_seq.sequence.training.ensemble import ExperimentConfig

    values, defaults = _fit_options(experiment), _fit_options(ExperimentConfig())
    words = ["deepseq", "fit", "--features", str(features), "--model", experiment.model.name]
    for parameter in fit.params:
        value = values.get(parameter.name or "")
        if value != defaults.get(parameter.name or ""):
            name = (parameter.secondary_opts if value is False else parameter.opts)[0]
            for item in value if isinstance(value, tuple) else (value,):
                words += [name] if type(value) is bool else [name, str(item)]
    return words


def _fit_options(experiment: ExperimentConfig) -> dict[str, Any]:
    """Return the values of an experiment by `fit`'s parameters, except the model's name."""
    model = experiment.model
    has_default_inputs = model.inputs == config.default_inputs(model.name)
    return {
        **as_options(model),
        **as_options(experiment.train),
        **as_options(experiment.split),
        "model": None,
        "inputs": None if has_default_inputs else model.inputs,
    }


def _print(folder: Path, result: SweepResult, fit_command: str) -> None:
    """Print the ranking, and the command that trains the best setting."""
    from deepfake_seq import console
    from deepfake_seq.sequence.sweep.files import TRIALS, rows

    clips, seeds = result.splits, len(result.plan.seeds)
    networks = f", {result.members} networks each" if result.members > 1 else ""
    echo_line(
        f"{len(result.ranked) + len(result.failed)} settings, {seeds} "
        f"seed{'s' if seeds > 1 else ''}{networks}; ranked on {clips['validation']} validation "
        f"clips, {clips['test']} test clips not used"
    )
    table = rows(result.ranked, result.failed, result.plan.space)
    click.echo(console.table(table[: _MAX_ROWS + 1]))
    if len(table) > _MAX_ROWS + 1:
        echo_line(f"and {len(table) - _MAX_ROWS - 1} more in {folder / TRIALS}")
    echo_line(f"sweep: {folder}")
    echo_line("Train and test the best setting:")
    echo_line(f"  {fit_command}")


def _report(folder: Path, result: SweepResult, fit_command: str) -> dict[str, Any]:
    """Return the JSON document of a sweep."""
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
        "fit": fit_command,
        "warnings": result.warnings,
    }


def _entry(trial: FrozenTrial, *names: str) -> dict[str, Any]:
    attributes = {name: trial.user_attrs[name] for name in ("setting", *names)}
    return {"trial": trial.number, **attributes}
