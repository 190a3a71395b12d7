"""`deepseq finetune`: train a CNN and a head on cached faces."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from deepfake_seq.commands.options import (
    PATH,
    command,
    from_options,
    json_option,
    option,
    option_of,
    options_of,
)
from deepfake_seq.commands.output import echo_message, echo_notes, print_json
from deepfake_seq.commands.results import echo_run, run_report
from deepfake_seq.commands.training import TRAINING, decision_options, split_options
from deepfake_seq.commands.views import augment_options, view_settings
from deepfake_seq.config import BackboneConfig, DecisionConfig, FinetuneConfig, SplitConfig


@command()
@option(
    "--faces",
    type=PATH,
    default="features",
    show_default=True,
    help="Face store, or a feature store with cached faces.",
)
@option(
    "--out",
    type=PATH,
    show_default="runs/<time>-<backbone>-<head>",
    help="Run folder to create; an interrupted run is resumed.",
)
@options_of(BackboneConfig, "name", heading="CNN")
@option_of(
    BackboneConfig,
    "weights",
    heading="CNN",
    metavar="imagenet|untrained|FILE",
    help="Initial weights of the CNN: imagenet, untrained (random numbers), or a weights file.",
)
@options_of(FinetuneConfig, "head", "input_size", heading="CNN")
@options_of(
    FinetuneConfig,
    *("head_epochs", "epochs", "unfreeze", "learning_rate", "fine_learning_rate"),
    *("batch_size", "dropout"),
    heading=TRAINING,
)
@augment_options
@options_of(FinetuneConfig, "balanced", heading=TRAINING)
@split_options
@decision_options
@options_of(FinetuneConfig, "precision", "seed", heading=TRAINING)
@json_option
def finetune(faces: Path, out: Path | None, as_json: bool, **options: Any) -> None:
    """Finetune a CNN on cached faces.

    The head is trained first, then the head and the last layers of the CNN. The score of a clip is
    the mean over its frames. The same command with the same --out resumes an interrupted run.
    `predict` accepts the run like any other; `extract --weights RUN` extracts features with its
    CNN.
    """
    from deepfake_seq import console
    from deepfake_seq.finetune import tune as tuning
    from deepfake_seq.sequence.runs.writer import require_new
    from deepfake_seq.store import open_faces

    settings = from_options(FinetuneConfig, options, augmentation=view_settings(options))
    backbone = BackboneConfig(options["backbone"], options["weights"])
    title = f"{backbone.name}-{settings.head}"
    out = out or Path("runs", f"{datetime.now():%Y%m%d-%H%M%S}-{title}")
    require_new(out)
    experiment = tuning.finetune_experiment(
        settings, from_options(SplitConfig, options), from_options(DecisionConfig, options)
    )
    task = tuning.load_task(open_faces(faces), backbone, experiment, settings)
    echo_message(f"run: {out}. After an interruption, resume with the same command and --out {out}")
    with console.progress(f"finetune {title}", task.batches, "batches") as step:
        result = tuning.finetune(task, out, step)
    echo_notes(result.warnings)
    if as_json:
        print_json(run_report(result))
    else:
        echo_run(result)
