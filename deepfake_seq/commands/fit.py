"""`deepseq fit`: train a model on features, or compare models over several trainings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from deepfake_seq import config
from deepfake_seq.commands.options import (
    PATH,
    command,
    features_option,
    from_options,
    json_option,
    option,
    option_of,
    options_of,
)
from deepfake_seq.commands.output import echo_notes, print_json
from deepfake_seq.commands.results import echo_data, echo_run, run_report
from deepfake_seq.commands.training import (
    TRAINING,
    balance_options,
    decision_options,
    duration_options,
    min_epochs_option,
    pseudo_fakes_option,
    split_options,
    trainer_option,
)
from deepfake_seq.errors import UsageError

if TYPE_CHECKING:
    from deepfake_seq.sequence.training.ensemble import ExperimentConfig

_ALL = "all"
_MODEL, _STUDY = "Model", "Study"
_ABLATION_FOLDS = 5
_LEFT_OUT = ("source", "method", "dataset")


@dataclass(frozen=True)
class _StudyPlan:
    """What a study repeats: folds (0 for none), seeds, and which blocks or clips it leaves out."""

    folds: int
    seeds: int
    ablate: bool
    leave_out: str


@command()
@features_option("train on")
@option("--out", type=PATH, show_default="runs/<time>-<model>", help="Run folder to create.")
@option_of(
    config.ModelConfig,
    "name",
    _MODEL,
    type=click.Choice([*config.MODELS, _ALL]),
    callback=None,
    help="Sequence model; all trains every model, which also shows whether the frame order "
    "matters.",
)
@options_of(config.ModelConfig, "bidirectional", heading=_MODEL)
@option_of(
    config.ModelConfig, "inputs", _MODEL, default=None, show_default="features; for logistic: both"
)
@options_of(
    config.ModelConfig, "evidence", "shuffle_frames", "units", "wide", "dropout", heading=_MODEL
)
@option(
    "--paper",
    is_flag=True,
    heading=_MODEL,
    help="Train the network of the paper: the block features alone, no wide part, no noise or "
    "dropout of the inputs.",
)
@duration_options
@min_epochs_option
@options_of(
    config.TrainConfig,
    *(
        "batch_size",
        "learning_rate",
        "gamma",
        "input_dropout",
        "input_noise",
        "block_dropout",
        "wide_l2",
        "auxiliary",
    ),
    heading=TRAINING,
)
@balance_options
@pseudo_fakes_option
@split_options
@decision_options
@options_of(config.TrainConfig, "seed", heading=TRAINING)
@trainer_option
@option(
    "--folds",
    type=click.IntRange(2, 100),
    heading=_STUDY,
    help="Number of folds to cross-validate with; no run is created.",
)
@option(
    "--seeds",
    type=click.IntRange(1, 100),
    heading=_STUDY,
    help="Number of seeds to repeat the training with; no run is created.",
)
@option(
    "--ablate",
    is_flag=True,
    heading=_STUDY,
    help=f"Train with all evidence blocks and without each of them, on the same folds "
    f"({_ABLATION_FOLDS} without --folds and --seeds); no run is created.",
)
@option(
    "--leave-out",
    metavar="FACT",
    type=click.Choice(_LEFT_OUT),
    heading=_STUDY,
    help="Test on the clips of one value after the other that no training clip has; no run is "
    "created.",
)
@json_option
def fit(
    features: Path,
    out: Path | None,
    folds: int | None,
    seeds: int | None,
    ablate: bool,
    leave_out: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a sequence model on a feature store.

    The model and its baselines are evaluated on test clips. Training, validation and test clips
    share no group (person or source video). --folds, --seeds, --ablate and --leave-out do not
    create a run: they write a study that compares models on the same clips.
    """
    if options["paper"]:
        _use_paper_settings(options)
    experiments = _experiments(**options)
    title = experiments[0].model.title if len(experiments) == 1 else _ALL
    out = out or Path("runs", f"{datetime.now():%Y%m%d-%H%M%S}-{title}")
    if folds and leave_out:
        raise UsageError("--leave-out takes the place of --folds: leave one of them out")
    if ablate and not (folds or seeds or leave_out):
        folds = _ABLATION_FOLDS
    if folds or seeds or leave_out:
        plan = _StudyPlan(folds or 0, seeds or 1, ablate, leave_out or "")
        _study(features, out, experiments, plan, as_json)
    else:
        _fit(features, out, experiments, as_json)


def _use_paper_settings(options: dict[str, Any]) -> None:
    """Set the options of --paper.

    Raises:
        UsageError: One of them is given with another value.
    """
    context = click.get_current_context()
    for name, value in config.PAPER.items():
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and options[name] != value:
            option_text = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"--paper cannot be combined with {option_text}: leave one of them out. "
                f"Received: {option_text} {options[name]}"
            )
        options[name] = value


def _experiments(**options: Any) -> list[ExperimentConfig]:
    """Return the experiment of one model, or those of all models."""
    from deepfake_seq.sequence.training.ensemble import ExperimentConfig

    common = ExperimentConfig(
        train=from_options(config.TrainConfig, options),
        split=from_options(config.SplitConfig, options),
        decision=from_options(config.DecisionConfig, options),
    )
    return [replace(common, model=model) for model in _models(options)]


def _models(options: dict[str, Any]) -> list[config.ModelConfig]:
    from deepfake_seq.sequence.cross_validation import CONTENDERS

    name, inputs, units = options["model"], options["inputs"], options["units"]
    if name != _ALL:
        inputs = inputs or config.default_inputs(name)
        return [from_options(config.ModelConfig, options, inputs=inputs)]
    if options["bidirectional"] or options["shuffle_frames"]:
        raise UsageError(
            "--model all includes a bidirectional and a shuffled model: leave out --bidirectional "
            "and --shuffle-frames"
        )
    return [
        replace(
            model,
            dropout=options["dropout"],
            wide=options["wide"],
            evidence=options["evidence"],
            inputs=model.inputs if model.name == "autoencoder" else inputs or model.inputs,
            units=units if model.name in config.RECURRENT else model.units,
        )
        for model in CONTENDERS
    ]


def _fit(features: Path, out: Path, experiments: list[ExperimentConfig], as_json: bool) -> None:
    """Write one run to `out`, or a run for each experiment to a folder in `out`."""
    from deepfake_seq import console
    from deepfake_seq.sequence import fit as fitting
    from deepfake_seq.sequence.experiment import load_experiment
    from deepfake_seq.sequence.reports.tables import runs_rows
    from deepfake_seq.sequence.runs.writer import require_new
    from deepfake_seq.store import FeatureStore

    require_new(out)
    first = experiments[0]
    data = load_experiment(FeatureStore.open(features), first.split, first.model.evidence)
    results = []
    for experiment in experiments:
        title = experiment.model.title
        folder = out if len(experiments) == 1 else out / title
        total = experiment.train.epochs * fitting.count_members(data, experiment)
        with console.progress(f"fit {title}", total, "epochs") as step:
            results.append(
                fitting.fit(data, folder, experiment, lambda _, row: step(_epoch_note(row)))
            )
    echo_notes(warning for result in results for warning in result.warnings)
    if as_json:
        reports = {result.model: run_report(result) for result in results}
        print_json(reports if len(results) > 1 else reports[results[0].model])
        return
    if len(results) > 1:
        echo_data(results[0])
        click.echo(console.table(runs_rows({result.model: result.metrics for result in results})))
        click.echo(f"runs: {', '.join(str(result.folder) for result in results)}")
    else:
        echo_run(results[0])


def _epoch_note(row: dict[str, float]) -> str:
    """Return the note of the progress bar after an epoch."""
    loss, auc = f"loss {row['loss']:.4f}", row["val_auc"]
    return loss if auc != auc else f"{loss}, validation AUC {auc:.3f}"  # NaN if undefined


def _study(
    features: Path,
    out: Path,
    experiments: list[ExperimentConfig],
    plan: _StudyPlan,
    as_json: bool,
) -> None:
    from deepfake_seq import console
    from deepfake_seq.sequence import cross_validation as studying
    from deepfake_seq.sequence.experiment import load_clips
    from deepfake_seq.sequence.reports.tables import left_out_rows, study_rows
    from deepfake_seq.sequence.runs.writer import require_new
    from deepfake_seq.store import FeatureStore

    require_new(out)
    split = experiments[0].split
    if plan.folds and split.strategy == "official":
        raise UsageError("--folds splits by group: leave out --split official")
    clips = load_clips(FeatureStore.open(features), split.seed, experiments[0].model.evidence)
    if plan.ablate:
        experiments = studying.ablations(experiments, tuple(clips.data.features.blocks))
    total = len(experiments) * (plan.folds or 1) * plan.seeds
    with console.progress("fit", total, "trainings") as step:
        result = studying.study(
            clips, experiments, plan.folds, plan.seeds, step, leave_out=plan.leave_out
        )
    studying.save(out, result)
    echo_notes(result.warnings)
    if as_json:
        print_json({"study": str(out), **result.summary, "warnings": result.warnings})
        return
    click.echo(console.table(study_rows(result.summary["models"])))
    if plan.leave_out:
        click.echo(console.table(left_out_rows(result.summary["left_out"])))
    click.echo(f"study: {out}")
