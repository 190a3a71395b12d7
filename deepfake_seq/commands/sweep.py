"""`deepseq sweep`: which settings do well on validation clips."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepfake_seq import config
from deepfake_seq.commands.options import (
    PATH,
    Command,
    json_option,
    print_json,
    say,
    tell,
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
    from deepfake_seq.sequence.learning import Recipe
    from deepfake_seq.sequence.sweep import Plan, Swept
    from deepfake_seq.sequence.trials import Tried

_TRAIN, _SWEEP = config.TrainConfig(), config.SweepConfig()
_SEARCHED = {
    "model": f"Of {', '.join(config.SWEPT_MODELS)}.",
    "units": "64,32,16 is one value: give the option once for each.",
    "inputs": f"Of {', '.join(config.INPUTS)}.",
    "dropout": "",
    "learning_rate": "A range counts equal ratios as equal steps; so does that of --batch-size.",
    "batch_size": "",
    "gamma": "Of the focal loss.",
}
_MOST_ROWS = 20


def _search_options(command: Command) -> Command:
    """A list or a range for each setting that can be searched."""
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
    "--features", type=PATH, default="features", show_default=True, help="The store to train on."
)
@click.option(
    "--out",
    type=PATH,
    help="Where the trials are kept; the same command goes on there.  [default: "
    "sweeps/<store>-<digest of the search>]",
)
@click.option(
    "--strategy",
    type=click.Choice(config.STRATEGIES),
    default=_SWEEP.strategy,
    show_default=True,
    help="Every combination, random ones, or those near good ones.",
)
@click.option(
    "--trials", type=int, help=f"Of random and tpe.  [default: {_SWEEP.trials}; grid: all]"
)
@click.option(
    "--seeds",
    type=int,
    default=_SWEEP.seeds,
    show_default=True,
    help="Trainings of each setting; their mean counts.",
)
@_search_options
@duration_options
@balance_options
@split_options
@trainer_option
@click.option("--seed", type=int, default=_TRAIN.seed, show_default=True, help="The first one.")
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
    """Search settings by how well they do on validation clips.

    VALUES is a list (1e-4,1e-3), or a range (1e-4:1e-2) for random and tpe. Without any, GRU and
    BiGRU are tried at three learning rates (random and tpe: within ranges). The store is read once,
    and test clips are not looked at. Whatever is finished is kept: after an interruption, the same
    command goes on.
    """
    from deepfake_seq.errors import UsageError
    from deepfake_seq.sequence import sweep as sweeping
    from deepfake_seq.sequence.learning import Recipe
    from deepfake_seq.sequence.problem import prepare
    from deepfake_seq.sequence.space import Space
    from deepfake_seq.sequence.trials import require_optuna
    from deepfake_seq.store import FeatureStore

    if strategy == "grid" and trials is not None:
        raise UsageError(
            "a grid tries every setting: leave --trials out, or draw some with --strategy random. "
            f"Received: {trials}"
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
    base = Recipe(train=train, split=split_settings(options))
    require_optuna()
    problem = prepare(FeatureStore.open(features), base.split)
    plan = sweeping.Plan(problem, space, base, settings)
    folder = out or plan.default_folder
    swept = _run(plan, folder)
    command = shlex.join(fit_arguments(features, swept.best))
    for warning in dict.fromkeys(swept.warnings):
        say(f"NOTE: {warning}")
    if as_json:
        print_json(_report(folder, swept, command))
    else:
        _tell(folder, swept, command)


def _run(plan: Plan, folder: Path) -> Swept:
    """The sweep with its progress on stderr."""
    from contextlib import ExitStack

    from deepfake_seq import console
    from deepfake_seq.sequence import sweep as sweeping

    with ExitStack() as stack:
        steps = []

        def start(done: int, trials: int, trainings: int) -> None:
            if done == trials:
                say(f"{folder} is complete: all of its {trials} trials are done")
                return
            if done:
                say(f"{folder} goes on: {done} of {trials} trials are done")
            bar = console.progress(f"sweep, {trials} trials", trainings, "trainings")
            steps.append(stack.enter_context(bar))

        try:
            return sweeping.sweep(plan, folder, start, lambda note: steps[0](note))
        except KeyboardInterrupt:
            stack.close()
            say(f"stopped; what is finished is in {folder}, and the same command goes on")
            raise


def fit_arguments(features: Path, recipe: Recipe) -> list[str]:
    """The command that trains a recipe: what `fit` would do by itself is left out."""
    model, train, split = recipe.model, recipe.train, recipe.split
    usual = config.ModelConfig()
    chosen = {
        "--features": (str(features), ""),
        "--model": (model.name, ""),
        "--inputs": (model.inputs, config.default_inputs(model.name)),
        "--units": (config.write_units(model.units), config.write_units(usual.units)),
        "--dropout": (model.dropout, usual.dropout),
        "--epochs": (train.epochs, _TRAIN.epochs),
        "--patience": (train.patience, _TRAIN.patience),
        "--batch-size": (train.batch_size, _TRAIN.batch_size),
        "--learning-rate": (train.learning_rate, _TRAIN.learning_rate),
        "--gamma": (train.gamma, _TRAIN.gamma),
        "--members": (train.members, _TRAIN.members),
        "--split": (split.strategy, config.SplitConfig().strategy),
        "--validation": (split.validation, config.SplitConfig().validation),
        "--test": (split.test, config.SplitConfig().test),
        "--seed": (train.seed, _TRAIN.seed),
        "--runtime": (train.runtime, _TRAIN.runtime),
    }
    words = ["deepseq", "fit"]
    for option, (value, default) in chosen.items():
        words += [option, str(value)] if value != default else []
    words += ["--bidirectional"] if model.bidirectional else []
    words += ["--allow-shared"] if split.allow_shared else []
    if train.balance != _TRAIN.balance:
        words += [word for own in balance_values(train.balance) for word in ("--balance", own)]
    return words


def _tell(folder: Path, swept: Swept, command: str) -> None:
    """The settings in their order, and how to train the best one."""
    from deepfake_seq import console
    from deepfake_seq.sequence.sweep_files import TRIALS, rows

    parts, seeds = swept.parts, len(swept.plan.seeds)
    networks = f"{swept.members} networks each, " if swept.members > 1 else ""
    tell(
        f"{len(swept.ranked) + len(swept.failed)} settings, {seeds} "
        f"seed{'s' if seeds > 1 else ''}, {networks}by {parts['validation']} validation clips; "
        f"{parts['test']} test clips were not looked at"
    )
    table = rows(swept.ranked, swept.failed, swept.plan.space)
    click.echo(console.table(table[: _MOST_ROWS + 1]))
    if len(table) > _MOST_ROWS + 1:
        tell(f"and {len(table) - _MOST_ROWS - 1} more in {folder / TRIALS}")
    tell(f"sweep: {folder}")
    tell("the best one is trained, and judged on the test clips, by")
    tell(f"  {command}")


def _report(folder: Path, swept: Swept, command: str) -> dict[str, Any]:
    config_ = swept.plan.config
    return {
        "sweep": str(folder),
        "strategy": config_.strategy,
        "seeds": list(swept.plan.seeds),
        "members": swept.members,
        "clips": swept.parts,
        "trials": swept.trials,
        "settings": [_entry(own) for own in swept.ranked],
        "failed": [
            {"trial": own.index, "setting": own.setting, "reason": own.reason}
            for own in swept.failed
        ],
        "fit": command,
        "warnings": swept.warnings,
    }


def _entry(own: Tried) -> dict[str, Any]:
    return {
        "trial": own.index,
        "setting": own.setting,
        "auc": own.mean,
        "auc_sd": own.spread,
        "brier": own.brier,
        "auc_by_seed": {str(seed): found.auc for seed, found in own.rounds.items()},
    }
