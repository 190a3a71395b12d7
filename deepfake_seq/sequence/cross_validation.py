"""Judging recipes by several rounds of training and testing: grouped folds, seeds, or both.

A study makes no model to use; it says how well a recipe does and how much of that is luck.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq import atomic
from deepfake_seq.config import ModelConfig
from deepfake_seq.datasets import split_by_group
from deepfake_seq.errors import UsageError
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.evaluation.intervals import bootstrap, units
from deepfake_seq.sequence.evaluation.metrics import Scores, at_threshold, auc
from deepfake_seq.sequence.evaluation.threshold import best_macro_f1
from deepfake_seq.sequence.evaluation.weighted_metrics import METRICS
from deepfake_seq.sequence.experiment import LabelledClips
from deepfake_seq.sequence.reports.model_card import cnn_warnings, data_warnings
from deepfake_seq.sequence.reports.tables import markdown, study_rows
from deepfake_seq.sequence.runs.writer import new_folder
from deepfake_seq.sequence.splits.split import make_folds, split_data
from deepfake_seq.sequence.training.baselines import BASELINES
from deepfake_seq.sequence.training.ensemble import (
    ExperimentConfig,
    Pair,
    TrainedEnsemble,
    fit_ensemble,
    pairs_of,
)

CONTENDERS = (
    ModelConfig("gru"),
    ModelConfig("gru", bidirectional=True),
    ModelConfig("lstm"),
    ModelConfig("dense"),
    ModelConfig("attention"),
    ModelConfig("logistic", inputs="both"),
    ModelConfig("gru", shuffle_frames=True),
)
"""What `--model all` compares, beside the baselines."""


@dataclass(frozen=True, eq=False)
class Round:
    """One training and one test.

    Attributes:
        seed: Of everything in it.
        pairs: What each member is trained and validated on.
        test: What it is judged on.
        warnings: What a reader must be told about its split.
    """

    seed: int
    pairs: list[Pair]
    test: SequenceData
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Outcome:
    """How one recipe did in one round.

    Attributes:
        seed: Of the round.
        video_ids: Of the test clips.
        labels: (N,) of the test clips.
        scores: (N,), calibrated.
        threshold: The one that validation chose.
        metrics: Of the test clips at that threshold.
    """

    seed: int
    video_ids: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    scores: Scores
    threshold: float
    metrics: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Study:
    """What all rounds say.

    Attributes:
        outcomes: Of each model, in the order of the rounds.
        summary: Plain JSON values: `data`, `clips`, `folds`, `seeds`, `recipe` and, for each of the
            `models`, what `summarise` gives.
        warnings: What a reader must be told.
    """

    outcomes: dict[str, list[Outcome]]
    summary: dict[str, Any]
    warnings: list[str]


def rounds(data: SequenceData, recipe: ExperimentConfig, folds: int, seeds: int) -> Iterator[Round]:
    """The rounds of a study: `folds` for each of `seeds` seeds, or one where `folds` is 0.

    With folds, every clip is a test clip once a seed (but for those that straddle two folds), and
    an official split is set aside. Without, each seed deals the parts out anew, but for official
    ones.

    Raises:
        DatasetError: There are too few groups.
    """
    for seed in range(recipe.split.seed, recipe.split.seed + seeds):
        own = replace(
            recipe,
            split=replace(recipe.split, seed=seed),
            train=replace(recipe.train, seed=seed),
        )
        if not folds:
            parts = split_data(data, own.split)
            split = parts.split
            if not len(split.test):
                raise UsageError("a study needs test clips: leave --test 0 out, or give --folds")
            pairs = pairs_of(data, split.train, split.validation, own)
            yield Round(seed, pairs, data.take(split.test), parts.warnings)
            continue
        for rest, held_out in make_folds(data, folds, seed):
            kept = data.take(rest)
            inner = split_by_group(
                kept.labels.tolist(),
                kept.groups_with_duplicates,
                validation=recipe.split.validation,
                test=0.0,
                seed=seed,
                pseudo_fakes=kept.pseudo_fakes,
            )
            pairs = pairs_of(kept, inner.train, inner.validation, own)
            yield Round(seed, pairs, data.take(held_out))


def study(
    clips: LabelledClips,
    recipes: Sequence[ExperimentConfig],
    folds: int,
    seeds: int,
    on_training: Callable[[str], None] = lambda title: None,
) -> Study:
    """Judge every recipe and every baseline in the same rounds.

    Args:
        clips: The clips, which each round splits anew.
        recipes: They differ in their models only.
        folds: How many, or 0 for the split that the recipes ask for.
        seeds: How many.
        on_training: Called with the name of each model that has been trained and judged.

    Raises:
        DatasetError: There are too few groups for so many folds, or no test clips without folds.
    """
    data = clips.data
    outcomes: dict[str, list[Outcome]] = {}
    told: dict[str, None] = {}
    for own in rounds(data, recipes[0], folds, seeds):
        told |= dict.fromkeys(own.warnings)
        for recipe in recipes:
            seeded = replace(recipe, train=replace(recipe.train, seed=own.seed))
            ensemble = fit_ensemble(own.pairs, seeded)
            outcomes.setdefault(recipe.model.title, []).append(_outcome(own, ensemble))
            told |= dict.fromkeys(ensemble.warnings)
            on_training(recipe.model.title)
        for name, baseline in BASELINES.items():
            ensemble = baseline(own.pairs, recipes[0])
            outcomes.setdefault(name, []).append(_outcome(own, ensemble))
    names = [clip.video_id for clip in data.clips]
    groups = dict(zip(names, data.groups_with_duplicates, strict=True))
    summary = {
        "data": clips.name,
        "clips": data.counts,
        "folds": folds,
        "seeds": seeds,
        "recipe": asdict(recipes[0]),
        "models": {title: summarise(rows, groups) for title, rows in outcomes.items()},
    }
    cnn = str(clips.store.extract_config["backbone"]["weights"])
    warnings = [*told, *clips.shortcut.warnings, *cnn_warnings(cnn), *data_warnings(data)]
    return Study(outcomes, summary, warnings)


def summarise(outcomes: Sequence[Outcome], groups: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """What the rounds of one recipe come to.

    Args:
        outcomes: Of all rounds.
        groups: The groups of each clip, by its id.

    Returns:
        `rounds`; `mean` and `sd` over the rounds of each figure on the test clips; and `pooled`,
        from all test clips of a seed together: `auc`, its 95 % `interval` (for the mean of a clip's
        scores over the seeds), `macro_f1` at the thresholds that validation chose, and
        `best_macro_f1`, the best that any one threshold could have given (which nobody can know
        beforehand). `pooled` figures are means over the seeds.
    """
    table = {
        name: np.array([own.metrics[name] for own in outcomes if own.metrics[name] is not None])
        for name in METRICS
    }
    return {
        "rounds": len(outcomes),
        "mean": {name: float(row.mean()) if len(row) else None for name, row in table.items()},
        "sd": {
            name: float(row.std(ddof=1)) if len(row) > 1 else None for name, row in table.items()
        },
        "pooled": _pooled(outcomes, groups),
    }


def save(folder: Path, found: Study) -> None:
    """Write `study.json`, its table as README.md, and every score as `scores.csv`.

    Raises:
        RunError: It cannot be written.
    """
    summary = found.summary
    lines = [
        f"# {summary['data']}: {summary['folds'] or 'no'} folds, {summary['seeds']} seeds",
        "",
        *markdown(study_rows(summary["models"])),
        "",
        *[f"- {warning}" for warning in found.warnings],
        "",
    ]
    with new_folder(folder) as draft:
        atomic.write_json(draft / "study.json", {**summary, "warnings": found.warnings})
        atomic.write_bytes(draft / "README.md", "\n".join(lines).encode())
        atomic.write_bytes(draft / "scores.csv", _as_csv(found.outcomes).encode())


def _as_csv(outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["model", "seed", "round", "video_id", "label", "score", "threshold"])
    for title, rows in outcomes.items():
        for number, own in enumerate(rows):
            for clip in zip(own.video_ids, own.labels, own.scores, strict=True):
                writer.writerow([title, own.seed, number, *clip, own.threshold])
    return buffer.getvalue()


def _outcome(own: Round, ensemble: TrainedEnsemble) -> Outcome:
    scores, threshold = ensemble.scores(own.test), ensemble.decision.threshold
    labels = own.test.labels
    return Outcome(
        own.seed,
        tuple(clip.video_id for clip in own.test.clips),
        labels,
        scores,
        threshold,
        at_threshold(labels, scores, threshold, groups=own.test.groups_with_duplicates),
    )


def _pooled(outcomes: Sequence[Outcome], groups: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    figures: dict[str, list[Any]] = {"auc": [], "macro_f1": [], "best_macro_f1": []}
    sums: dict[str, list[float]] = {}
    truth: dict[str, int] = {}
    for seed in dict.fromkeys(own.seed for own in outcomes):
        mine = [own for own in outcomes if own.seed == seed]
        labels = np.concatenate([own.labels for own in mine])
        scores = np.concatenate([own.scores for own in mine])
        # Shifted, so that one threshold stands for the one that each round chose.
        margins = np.concatenate([own.scores - own.threshold for own in mine])
        if len(np.unique(labels)) == 2:
            figures["auc"].append(auc(labels, scores))
            figures["macro_f1"].append(_macro_f1(labels, margins >= 0))
            figures["best_macro_f1"].append(best_macro_f1(labels, scores))
        for own in mine:
            for video_id, label, score in zip(own.video_ids, own.labels, own.scores, strict=True):
                sums.setdefault(video_id, []).append(float(score))
                truth[video_id] = int(label)
    labels = np.array([truth[video_id] for video_id in sums])
    means = np.array([np.mean(values) for values in sums.values()])
    unit = units([groups[video_id] for video_id in sums], len(labels))
    interval = bootstrap(labels, means, 0.5, unit)["auc"]
    return {
        **{name: float(np.mean(values)) if values else None for name, values in figures.items()},
        "interval": interval and list(interval),
        "clips": {"real": int((labels == 0).sum()), "fake": int(labels.sum())},
    }


def _macro_f1(labels: npt.NDArray[np.int64], calls: npt.NDArray[np.bool_]) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(labels, calls.astype(np.int64), average="macro", zero_division=0.0))
