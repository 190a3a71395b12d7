"""Make clips, extract, fit both models, judge held-out clips, sum up."""

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
from deepfake_seq.predict import Verdict, predict
from deepfake_seq.sequence.experiment import load_experiment
from deepfake_seq.sequence.fit import fit
from deepfake_seq.sequence.reports.tables import metrics_rows
from deepfake_seq.sequence.training.ensemble import ExperimentConfig
from deepfake_seq.store import FeatureStore

TAKES = 15
_CRF = (20, 26, 32)

Say = Callable[[str], None]


def run_demo(out: Path, say: Say) -> dict[str, Any]:
    """Run the main job from end to end in `out`.

    Args:
        out: A folder that is not there yet, or empty.
        say: Takes each line of the story.

    Returns:
        `clips`, `extract`, `fit` (by model), `predict`, `weights` and `seconds`.

    Raises:
        UsageError: `out` holds something already.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already. Remove it, or give another --out.")
    begin = time.monotonic()
    say(f"1. making {2 * TAKES} clips of one portrait in {out / 'clips'}: half with a forged face")
    _make_clips(out / "clips")

    resolved = _resolve(say)
    say("2. extract: frames, faces (mtcnn), crops, InceptionV3")
    store, summary = _extract(out, resolved)
    say(f"   {summary.ok} of {summary.videos} clips in {summary.seconds:.0f} s → {store.path}")

    fits: dict[str, Any] = {}
    experiment = load_experiment(store, SplitConfig())
    for number, model in enumerate((ModelConfig(), ModelConfig(bidirectional=True)), start=3):
        say(f"{number}. fit: {model.title}")
        recipe = ExperimentConfig(model, TrainConfig(epochs=60, members=1))
        result = fit(experiment, out / "runs" / model.title, recipe)
        say(_indent(console.table(metrics_rows(model.title, result.metrics))))
        fits[model.title] = {
            "run": str(result.folder),
            "parameters": result.parameters,
            "split": result.split,
            **result.metrics,
        }
    run = out / "runs" / "bigru"
    say("5. predict: one real and one forged clip that bigru was not trained on")
    verdicts = _predict(out, run)
    for verdict in verdicts:
        score = "no score" if verdict.score is None else f"score {verdict.score:.3f}"
        say(f"   {verdict.path}: {verdict.verdict} ({score}, threshold {verdict.threshold:.3f})")
    seconds = time.monotonic() - begin
    weights = resolved.config.backbone.weights
    say("")
    say(f"Done in {seconds:.0f} s. All of it is in {out}: clips, features, runs with plots.")
    say(f"  the training curves: {run / 'plots' / 'training.png'}")
    say(f"  the model card:      {run / 'README.md'}")
    say(_meaning(weights))
    return {
        "clips": 2 * TAKES,
        "extract": {"store": str(store.path), "ok": summary.ok, "failed": summary.failed},
        "fit": fits,
        "predict": [asdict(verdict) for verdict in verdicts],
        "weights": weights,
        "seconds": round(seconds, 1),
    }


def _make_clips(folder: Path) -> None:
    """Real and fake clips of the same takes; the two of a take are one group."""
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


def _resolve(say: Say) -> ResolvedConfig:
    def config(weights: str) -> ExtractConfig:
        return ExtractConfig(
            faces=FaceConfig(detector="mtcnn"), backbone=BackboneConfig(weights=weights)
        )

    try:
        return resolve(config(IMAGENET))
    except WeightsError:
        say(
            "   ImageNet weights cannot be had here, so the CNN is UNTRAINED: it shows how "
            "everything works, and its numbers mean nothing."
        )
        return resolve(config(UNTRAINED))


def _extract(out: Path, resolved: ResolvedConfig) -> tuple[FeatureStore, pipeline.Summary]:
    found, _ = datasets.discover([out / "clips"])
    items, _ = datasets.apply_labels(found, out / "clips" / "labels.csv")
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

    held_out = json.loads((run / "split.json").read_text())["test"]
    chosen = [
        out / "clips" / next(clip for clip in held_out if clip.startswith(label))
        for label in ("real", "fake")
    ]
    return list(predict(chosen, run, ExecutionConfig()))


def _meaning(weights: str) -> str:
    if weights == UNTRAINED:
        return (
            "The CNN was untrained and the fakes were made to be seen: these numbers mean nothing. "
            "With a network, or after `deepseq weights import inception_v3 FILE`, the demo uses "
            "ImageNet weights."
        )
    return (
        "The fakes were made to be seen, from one portrait: these numbers say that the tool works, "
        "and nothing about deepfakes."
    )


def _indent(text: str) -> str:
    return "\n".join(f"   {line}" for line in text.splitlines())
