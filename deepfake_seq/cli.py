"""The command line: parse, call, print. Whatever is heavy is imported inside the commands."""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from deepfake_seq import __version__, config
from deepfake_seq.errors import DeepseqError

_FAILED_VIDEOS = 3
_INCONCLUSIVE = 4

_SAMPLING, _FACES, _BACKBONE = config.SamplingConfig(), config.FaceConfig(), config.BackboneConfig()
_EXECUTION, _MODEL, _TRAIN = config.ExecutionConfig(), config.ModelConfig(), config.TrainConfig()

PATH = click.Path(path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
runtime_option = click.option(
    "--runtime",
    type=click.Choice(config.RUNTIMES),
    default=_EXECUTION.runtime,
    show_default=True,
    help="What runs the CNN.",
)
workers_option = click.option(
    "--workers",
    type=int,
    default=_EXECUTION.workers,
    help="Decoding processes.  [default: one for each core, at most 4]",
)


class _Group(click.Group):
    """Turns expected errors into one line and their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DeepseqError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"deepseq: {' '.join(str(error).split())}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="deepseq")
@click.option("--debug", is_flag=True, help="Show the traceback of expected errors too.")
def app(debug: bool) -> None:
    r"""Tell real face videos from deepfakes. Extract once, experiment in seconds.

    \b
    deepseq extract videos/          videos to features, once
    deepseq fit --bidirectional      features to a trained model
    deepseq predict clip.mp4         a verdict on a clip
    """
    del debug  # read by _Group
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("deepseq: %(message)s"))
    logger = logging.getLogger("deepfake_seq")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)


@app.command()
@click.argument("paths", nargs=-1, required=True, type=EXISTING, metavar="PATH...")
@click.option("--out", type=PATH, default="features", show_default=True, help="The store.")
@click.option("--labels", type=EXISTING, help="CSV with path,label and, if known, group,split.")
@click.option(
    "--detector",
    type=click.Choice(config.DETECTORS),
    default=_FACES.detector,
    show_default=True,
    help="What finds the faces; none takes the whole frame.",
)
@click.option("--detector-weights", type=EXISTING, help="A file for retinaface or yunet.")
@click.option(
    "--weights",
    default=_BACKBONE.weights,
    show_default=True,
    metavar="imagenet|untrained|FILE",
    help="The CNN's weights.",
)
@click.option("--frames", type=int, default=_SAMPLING.frames, show_default=True)
@click.option("--margin", type=float, default=_FACES.margin, show_default=True, help="Of the crop.")
@click.option(
    "--precision",
    type=click.Choice(config.PRECISIONS),
    default=_BACKBONE.precision,
    show_default=True,
    help="The CNN's arithmetic.",
)
@runtime_option
@workers_option
@click.option("--retry-failed", is_flag=True, help="Take up videos that failed before.")
@json_option
def extract(paths: tuple[Path, ...], out: Path, labels: Path | None, **options: Any) -> None:
    """Extract features from videos, or from all videos in folders, into a store.

    What is in the store already is skipped, so an interrupted run goes on where it stopped. Labels
    come from folders called real, fake, Celeb-real, YouTube-real or Celeb-synthesis, or from
    --labels.
    """
    from deepfake_seq import console, datasets
    from deepfake_seq.extract import pipeline
    from deepfake_seq.extract.resolve import resolve
    from deepfake_seq.store import FeatureStore

    settings = _extract_config(**options)
    execution = config.ExecutionConfig(options["runtime"], options["workers"])
    items = datasets.discover(paths)
    if labels:
        items, unused = datasets.apply_labels(items, labels)
        if unused:
            _say(f"{len(unused)} rows of {labels} match no video, the first is {unused[0]}")
    resolved = resolve(settings)
    if settings.backbone.weights == config.UNTRAINED:
        _say("WARNING: the CNN is untrained. Its features are noise; use them for trials only.")
    store = FeatureStore.create(out, resolved.fingerprint, settings.to_dict())
    with console.progress("extract", len(items), "videos") as step:
        summary = pipeline.extract(
            items,
            resolved,
            store,
            execution,
            retry_failed=options["retry_failed"],
            on_video=lambda record: step(record.status if record else "skipped"),
        )
    for video_id, status, reason in summary.failures:
        _say(f"{video_id}: {status}: {reason}")
    if options["as_json"]:
        _print_json(
            {
                "store": str(out),
                "fingerprint_id": resolved.fingerprint.id,
                "videos": summary.videos,
                "ok": summary.ok,
                "failed": summary.failed,
                "skipped": summary.skipped,
                "by_status": dict(summary.by_status),
                "seconds": round(summary.seconds, 3),
            }
        )
    else:
        click.echo(
            f"{summary.videos} videos: {summary.ok} extracted, {summary.failed} failed, "
            f"{summary.skipped} were there already"
            + (f" ({summary.relabelled} relabelled)" if summary.relabelled else "")
            + f"; {summary.seconds:.1f} s"
        )
        click.echo(f"{out}: {_labels_line([entry.metadata for entry in store.entries().values()])}")
    if summary.failed:
        sys.exit(_FAILED_VIDEOS)


@app.command()
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
        _say(f"NOTE: {warning}")
    if as_json:
        report = {
            "run": str(out),
            "model": result.model,
            "parameters": result.parameters,
            "split": result.split,
            **result.metrics,
        }
        _print_json(report)
        return
    parameters, split = result.parameters, result.split
    click.echo(f"{result.model}: {parameters['total']:,} parameters")
    click.echo(f"clips: {', '.join(f'{count} {name}' for name, count in split.items())}")
    if result.excluded:
        click.echo(f"left out: {console.counts(result.excluded)}")
    click.echo(console.metrics_table(result.model, result.metrics))
    click.echo(f"run: {out}")


@app.command()
@click.argument("clips", nargs=-1, required=True, type=EXISTING, metavar="CLIP...")
@click.option("--run", "run_folder", type=PATH, help="The model.  [default: the newest in runs/]")
@click.option("--detector-weights", type=EXISTING, help="Where that file of the run is now.")
@click.option("--weights", type=EXISTING, help="Where the CNN's weights file of the run is now.")
@runtime_option
@workers_option
@json_option
def predict(
    clips: tuple[Path, ...],
    run_folder: Path | None,
    detector_weights: Path | None,
    weights: Path | None,
    runtime: str,
    workers: int,
    as_json: bool,
) -> None:
    """Say of each clip whether it is real or fake, or that it cannot be said."""
    from deepfake_seq import predict as predicting
    from deepfake_seq.sequence import run

    folder = run_folder or run.newest(Path("runs"))
    override = predicting.WeightsOverride(_absolute(detector_weights), _absolute(weights))
    execution = config.ExecutionConfig(runtime, workers)
    verdicts = []
    for warning in run.describe(folder).get("warnings", []):
        _say(f"NOTE: {warning}")
    for verdict in predicting.predict(clips, folder, execution, override):
        verdicts.append(verdict)
        if not as_json:
            click.echo(_verdict_line(verdict))
    if as_json:
        _print_json([asdict(verdict) for verdict in verdicts])
    if any(verdict.verdict == predicting.INCONCLUSIVE for verdict in verdicts):
        sys.exit(_INCONCLUSIVE)


def _verdict_line(verdict: Any) -> str:
    frames = f"{verdict.frames_used} of {verdict.frames_sampled} frames"
    if verdict.score is None:
        return f"{verdict.path}: inconclusive ({verdict.reason})"
    relation = "at or above" if verdict.verdict == "fake" else "below"
    return (
        f"{verdict.path}: {verdict.verdict} (score {verdict.score:.3f}, {relation} the threshold "
        f"{verdict.threshold:.3f}; {frames}; {verdict.run})"
    )


def _extract_config(**options: Any) -> config.ExtractConfig:
    weights = options["weights"]
    if weights not in (config.IMAGENET, config.UNTRAINED):
        weights = _absolute(Path(weights))
    return config.ExtractConfig(
        sampling=config.SamplingConfig(frames=options["frames"]),
        faces=config.FaceConfig(
            detector=options["detector"],
            detector_weights=_absolute(options["detector_weights"]),
            margin=options["margin"],
        ),
        backbone=config.BackboneConfig(weights=weights, precision=options["precision"]),
    )


def _absolute(path: Path | None) -> str | None:
    return str(path.absolute()) if path else None


def _labels_line(records: list[dict[str, Any]]) -> str:
    from collections import Counter

    from deepfake_seq import console
    from deepfake_seq.datasets import LABEL_NAMES

    labels = Counter(LABEL_NAMES[record["label"]] for record in records)
    return f"{len(records)} videos, {console.counts(labels)}"


def _say(message: str) -> None:
    click.echo(f"deepseq: {message}", err=True)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def main() -> None:
    """Run the command line."""
    # The second module registers its commands with `app`.
    from deepfake_seq import cli_service  # noqa: F401

    app(prog_name="deepseq")
