"""Run the demonstration: generate clips, extract, fit two models, and predict test clips."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deepfake_seq import console, datasets
from deepfake_seq.config import (
    IMAGENET,
    UNTRAINED,
    BackboneConfig,
    ExecutionConfig,
    ExtractConfig,
    FaceConfig,
    ModelConfig,
    SplitConfig,
    TrainConfig,
)
from deepfake_seq.demo.clips import Take, write_clip
from deepfake_seq.errors import UsageError, WeightsError
from deepfake_seq.extract import pipeline
from deepfake_seq.extract.resolve import ResolvedConfig, resolve
from deepfake_seq.extract.writers import StoreWriters
from deepfake_seq.predict import predict
from deepfake_seq.sequence.experiment import load_experiment
from deepfake_seq.sequence.fit import fit
from deepfake_seq.sequence.reports.tables import metrics_rows
from deepfake_seq.sequence.training.ensemble import ExperimentConfig
from deepfake_seq.store import FeatureStore
from deepfake_seq.verdict import Verdict

TAKES = 15
_CRF = (20, 26, 32)

Echo = Callable[[str], None]


def run_demo(out: Path, echo: Echo) -> dict[str, Any]:
    """Run the whole workflow in `out`.

    Args:
        out: Folder to create, or an empty folder.
        echo: Called with each line of the report.

    Returns:
        Dictionary with `clips`, `extract`, `fit` (by model), `predict`, `weights` and `seconds`.

    Raises:
        UsageError: `out` exists and is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            f"{out} already exists. Remove it, or give another --out. Received: --out {out}"
        )
    begin = time.monotonic()
    echo(f"1. generate {2 * TAKES} clips from one portrait in {out / 'clips'}, half of them fake")
    _make_clips(out / "clips")

    resolved = _resolve(echo)
    echo("2. extract: sample frames, detect faces (mtcnn), crop, apply InceptionV3")
    store, summary = _extract(out, resolved)
    echo(f"   {summary.ok} of {summary.videos} clips in {summary.seconds:.0f} s → {store.path}")

    fits: dict[str, Any] = {}
    experiment = load_experiment(store, SplitConfig())
    for number, model in enumerate((ModelConfig(), ModelConfig(bidirectional=True)), start=3):
        echo(f"{number}. fit: {model.title}")
        config = ExperimentConfig(model, TrainConfig(epochs=60, members=1))
        result = fit(experiment, out / "runs" / model.title, config)
        echo(_indent(console.table(metrics_rows(model.title, result.metrics))))
        fits[model.title] = {
            "run": str(result.folder),
            "parameters": result.parameters,
            "split": result.split,
            **result.metrics,
        }
    run = out / "runs" / "bigru"
    echo("5. predict: one real and one fake test clip with bigru")
    verdicts = _predict(out, run)
    for verdict in verdicts:
        score = "no score" if verdict.score is None else f"score {verdict.score:.3f}"
        echo(f"   {verdict.path}: {verdict.verdict} ({score}, threshold {verdict.threshold:.3f})")
    seconds = time.monotonic() - begin
    weights = resolved.config.backbone.weights
    echo("")
    echo(f"Done in {seconds:.0f} s. {out} contains the clips, the features and the runs.")
    echo(f"  training curves: {run / 'plots' / 'training.png'}")
    echo(f"  model card:      {run / 'README.md'}")
    echo(_meaning(weights))
    return {
        "clips": 2 * TAKES,
        "extract": {"store": str(store.path), "ok": summary.ok, "failed": summary.failed},
        "fit": fits,
        "predict": [asdict(verdict) for verdict in verdicts],
        "weights": weights,
        "seconds": round(seconds, 1),
    }


def _make_clips(folder: Path) -> None:
    """Write a real and a fake clip for each take; the two form one group."""
    rows = []
    for number in range(TAKES):
        take = Take(seed=number, crf=_CRF[number % len(_CRF)])
        for label in ("real", "fake"):
            relative = f"{label}/take{number:02}.mp4"
            write_clip(folder / relative, take, fake=label == "fake")
            rows.append({"path": relative, "label": label, "group": f"take{number:02}"})
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "group"])
        writer.writeheader()
        writer.writerows(rows)


def _resolve(echo: Echo) -> ResolvedConfig:
    def config(weights: str) -> ExtractConfig:
        return ExtractConfig(
            faces=FaceConfig(detector="mtcnn"), backbone=BackboneConfig(weights=weights)
        )

    try:
        return resolve(config(IMAGENET))
    except WeightsError:
        echo(
            "   ImageNet weights are not available, so the CNN is UNTRAINED: the workflow is real, "
            "but its metrics mean nothing."
        )
        return resolve(config(UNTRAINED))


def _extract(out: Path, resolved: ResolvedConfig) -> tuple[FeatureStore, pipeline.Summary]:
    unlabelled = datasets.discover([out / "clips"]).items
    items, _ = datasets.apply_labels(unlabelled, out / "clips" / "labels.csv")
    with (
        StoreWriters.create(out / "features", resolved) as cache,
        console.progress("   extract", len(items), "clips") as step,
    ):
        summary = pipeline.extract(
            items,
            resolved,
            cache,
            ExecutionConfig(),
            on_video=lambda outcome, _: step(outcome.status),
        )
    return cache.features, summary


def _predict(out: Path, run: Path) -> list[Verdict]:
    import json

    test_clips = json.loads((run / "split.json").read_text())["test"]
    paths = [
        out / "clips" / next(clip for clip in test_clips if clip.startswith(label))
        for label in ("real", "fake")
    ]
    return list(predict(paths, run, ExecutionConfig()))


def _meaning(weights: str) -> str:
    """Return what the metrics mean, and what they do not."""
    if weights == UNTRAINED:
        return (
            "The CNN is untrained and the fakes are obvious: these metrics mean nothing. With a "
            "network connection, or after `deepseq weights import inception_v3 FILE`, the demo "
            "uses ImageNet weights."
        )
    return (
        "The fakes are obvious and made from one portrait: these metrics show that the tool works, "
        "and nothing about deepfakes."
    )


def _indent(text: str) -> str:
    return "\n".join(f"   {line}" for line in text.splitlines())
