"""Options of stage 2 that `fit`, `sweep` and `finetune` share."""

from __future__ import annotations

from typing import Any

import click

from deepfake_seq import config
from deepfake_seq.commands.options import Command, count_option, together
from deepfake_seq.errors import UsageError

_SPLIT, _TRAIN, _DECISION = config.SplitConfig(), config.TrainConfig(), config.DecisionConfig()
_NONE = "none"


trainer_option = click.option(
    "--runtime",
    type=click.Choice(config.TRAINERS),
    default=_TRAIN.runtime,
    show_default=True,
    help="Trainer: NumPy on the CPU, or Keras on the backend that KERAS_BACKEND names.",
)


def duration_options(command: Command) -> Command:
    """How long is trained."""
    return together(
        command,
        click.option(
            "--epochs",
            type=int,
            default=_TRAIN.epochs,
            show_default=True,
            help="Maximum number of epochs.",
        ),
        click.option(
            "--patience",
            type=int,
            default=_TRAIN.patience,
            show_default=True,
            help="Epochs without a better validation score before training stops.",
        ),
    )


def balance_options(command: Command) -> Command:
    """What makes up for unequal classes, and how many networks there are."""
    return together(
        command,
        click.option(
            "--balance",
            type=click.Choice([*config.BALANCES, _NONE]),
            multiple=True,
            default=_TRAIN.balance,
            show_default=True,
            help="Against unequal classes: the focal loss's alpha, class weights, balanced "
            "batches.",
        ),
        count_option(
            "--members",
            1,
            config.MAX_MEMBERS,
            "Networks that are averaged, each validated on other clips.  [default: 5 below "
            "400 clips, else 1]",
        ),
    )


def split_options(command: Command) -> Command:
    """Which clips are for what; `split_settings` reads them, and the seed."""
    return together(
        command,
        click.option(
            "--split",
            "split_strategy",
            type=click.Choice(config.SPLITS),
            default=_SPLIT.strategy,
            show_default=True,
            help="official uses the data set's own split, group splits its groups anew, auto uses "
            "the official split if there is one.",
        ),
        click.option(
            "--allow-shared",
            is_flag=True,
            help="Accept an official split that has an identity in several parts.",
        ),
        click.option(
            "--validation",
            type=float,
            default=_SPLIT.validation,
            show_default=True,
            help="Fraction of clips held out for validation.",
        ),
        click.option(
            "--test",
            type=float,
            default=_SPLIT.test,
            show_default=True,
            help="Fraction of clips held out for the test.",
        ),
    )


def decision_options(command: Command) -> Command:
    """How the threshold is chosen; `decision_settings` reads them."""
    return together(
        command,
        click.option(
            "--threshold",
            type=click.Choice(config.THRESHOLDS),
            default=_DECISION.threshold,
            show_default=True,
            help="By the target false-positive rate, or by the best balanced accuracy.",
        ),
        click.option("--target-fpr", type=float, default=_DECISION.target_fpr, show_default=True),
    )


def decision_settings(options: dict[str, Any]) -> config.DecisionConfig:
    """The settings that `decision_options` ask for."""
    return config.DecisionConfig(options["threshold"], options["target_fpr"])


def balance_setting(chosen: tuple[str, ...]) -> tuple[str, ...]:
    """The value of `TrainConfig.balance` for the values of --balance."""
    balance = tuple(dict.fromkeys(chosen))
    if _NONE in balance and len(balance) > 1:
        raise UsageError(f"--balance none goes with no other. Received: {' '.join(balance)}")
    return () if balance == (_NONE,) else balance


def balance_values(balance: tuple[str, ...]) -> tuple[str, ...]:
    """The inverse of `balance_setting`."""
    return balance or (_NONE,)


def split_settings(options: dict[str, Any]) -> config.SplitConfig:
    """The settings that `split_options` and --seed ask for."""
    return config.SplitConfig(
        strategy=options["split_strategy"],
        validation=options["validation"],
        test=options["test"],
        allow_shared=options["allow_shared"],
        seed=options["seed"],
    )
