"""`deepseq finetune`: cached faces to a CNN of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepfake_seq import config
from deepfake_seq.commands.options import (
    PATH,
    backbone_option,
    count_option,
    echo_message,
    json_option,
    print_json,
    together,
    weights_setting,
)
from deepfake_seq.commands.results import run_report, tell_run
from deepfake_seq.commands.training import (
    decision_options,
    decision_settings,
    split_options,
    split_settings,
)
from deepfake_seq.commands.views import augment_options, view_settings
from deepfake_seq.errors import UsageError

_BACKBONE, _DEFAULT = config.BackboneConfig(), config.FinetuneConfig()
_ALL_LAYERS = "all"


def _phase_options(command: Any) -> Any:
    """How long and how fast the two phases are."""
    return together(
        command,
        click.option(
            "--head-epochs",
            type=int,
            default=_DEFAULT.head_epochs,
            show_default=True,
            help="With the CNN frozen.",
        ),
        click.option(
            "--epochs",
            type=int,
            default=_DEFAULT.epochs,
            show_default=True,
            help="After that, with its last layers unfrozen.",
        ),
        click.option(
            "--unfreeze",
            metavar="N|all",
            help="How many layers.  [default: inception_v3 62, vgg16 all, resnet50 32, "
            "efficientnet_b1 80]",
        ),
        click.option(
            "--learning-rate", type=float, default=_DEFAULT.learning_rate, show_default=True
        ),
        click.option(
            "--fine-learning-rate",
            type=float,
            default=_DEFAULT.fine_learning_rate,
            show_default=True,
            help="Once layers are unfrozen.",
        ),
        click.option(
            "--batch-size",
            type=int,
            default=_DEFAULT.batch_size,
            show_default=True,
            help="Frames.",
        ),
    )


@click.command()
@click.option(
    "--faces",
    type=PATH,
    default="features",
    show_default=True,
    help="Cached faces, or a feature store that has some.",
)
@click.option("--out", type=PATH, help="The run to make.  [default: runs/<time>-<backbone>-<head>]")
@backbone_option
@click.option(
    "--weights",
    default=_BACKBONE.weights,
    show_default=True,
    metavar="imagenet|untrained|FILE",
    help="What it starts from.",
)
@click.option(
    "--head",
    type=click.Choice(tuple(config.HEADS)),
    default=_DEFAULT.head,
    show_default=True,
    help="What goes behind the CNN.",
)
@count_option(
    "--input-size", *config.INPUT_SIZES, "Side of the CNN's input in pixels.  [default: its own]"
)
@_phase_options
@click.option("--dropout", type=float, default=_DEFAULT.dropout, show_default=True)
@augment_options
@click.option(
    "--balance",
    type=click.Choice(("weights", "none")),
    default="weights",
    show_default=True,
    help="Against unequal classes.",
)
@split_options
@decision_options
@click.option(
    "--precision",
    type=click.Choice((config.AUTO, *config.PRECISIONS)),
    default=_DEFAULT.precision,
    show_default=True,
    help="Of training; auto is bfloat16 on a GPU, else float32.",
)
@click.option("--seed", type=int, default=_DEFAULT.seed, show_default=True)
@json_option
def finetune(faces: Path, out: Path | None, as_json: bool, **options: Any) -> None:
    """Train a CNN and a head on cached faces, and judge them beside the frozen CNN.

    First the head is trained, then the end of the CNN or all of it. A clip's score is the mean over
    its frames. What is interrupted goes on when it is called again with the same --out. `predict`
    takes the run as any other; `extract --weights RUN` extracts features with its CNN.
    """
    from datetime import datetime

    from deepfake_seq import console
    from deepfake_seq.finetune import tune as tuning
    from deepfake_seq.sequence.runs.writer import require_new
    from deepfake_seq.store import open_faces

    settings = _settings(options)
    backbone = config.BackboneConfig(options["backbone"], weights_setting(options["weights"]))
    title = f"{backbone.name}-{settings.head}"
    out = out or Path("runs", f"{datetime.now():%Y%m%d-%H%M%S}-{title}")
    require_new(out)
    recipe = tuning.finetune_experiment(
        settings, split_settings(options), decision_settings(options)
    )
    task = tuning.load_task(open_faces(faces), backbone, recipe, settings)
    echo_message(f"run: {out}. If this is interrupted, the same command with --out {out} goes on.")
    with console.progress(f"finetune {title}", task.batches, "batches") as step:
        result = tuning.finetune(task, out, step)
    for warning in result.warnings:
        echo_message(f"NOTE: {warning}")
    if as_json:
        print_json(run_report(result))
    else:
        tell_run(result)


def _settings(options: dict[str, Any]) -> config.FinetuneConfig:
    return config.FinetuneConfig(
        head=options["head"],
        dropout=options["dropout"],
        input_size=options["input_size"],
        head_epochs=options["head_epochs"],
        epochs=options["epochs"],
        unfreeze=_layers(options["unfreeze"]),
        batch_size=options["batch_size"],
        learning_rate=options["learning_rate"],
        fine_learning_rate=options["fine_learning_rate"],
        augmentation=view_settings(options),
        balanced=options["balance"] == "weights",
        precision=options["precision"],
        seed=options["seed"],
    )


def _layers(unfreeze: str | None) -> int:
    """As `FinetuneConfig.unfreeze` has it."""
    if unfreeze is None:
        return -1
    if unfreeze == _ALL_LAYERS:
        return 0
    if not unfreeze.isdecimal() or not int(unfreeze):
        raise UsageError(f"--unfreeze takes a number of layers, or all. Received: {unfreeze}")
    return int(unfreeze)
