"""Compare models by repeated training and testing, over grouped folds, seeds or both.

A study keeps no model. It reports the performance of each model and its variation.
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
from deepfake_seq.datasets import FAKE, REAL, split_by_group
from deepfake_seq.errors import UsageError
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.data.features import Rows
from deepfake_seq.sequence.evaluation.intervals import bootstrap, units
from deepfake_seq.sequence.evaluation.metrics import Scores, at_threshold, auc
from deepfake_seq.sequence.evaluation.threshold import best_macro_f1
from deepfake_seq.sequence.evaluation.weighted_metrics import METRICS
from deepfake_seq.sequence.experiment import LabelledClips
from deepfake_seq.sequence.reports.model_card import cnn_warnings, data_warnings
from deepfake_seq.sequence.reports.tables import left_out_rows, markdown, study_rows
from deepfake_seq.sequence.runs.writer import new_folder
from deepfake_seq.sequence.splits.split import make_folds, split_data
from deepfake_seq.sequence.training.baselines import BASELINES
from deepfake_seq.sequence.training.ensemble import (
    ExperimentConfig,
    Pair,
    TrainedEnsemble,
    fit_ensemble,
    member_pairs,
)

CONTENDERS = (
    ModelConfig("gru"),
    ModelConfig("gru", bidirectional=True),
    ModelConfig("lstm"),
    ModelConfig("dense"),
    ModelConfig("attention"),
    ModelConfig("logistic", inputs="both"),
    ModelConfig("gru", shuffle_frames=True),
    ModelConfig("autoencoder"),
)
"""The models that `--model all` compares, in addition to the baselines."""


@dataclass(frozen=True, eq=False)
class Round:
    """One split of the clips, to train and test every model on.

    Attributes:
        seed: Seed of the split and of the training.
        pairs: Training and validation clips of each member.
        test: The test clips.
        warnings: Warnings about the split.
        left_out: Value of the fact that all test clips share and no other clip has, or "".
    """

    seed: int
    pairs: list[Pair]
    test: SequenceData
    warnings: list[str] = field(default_factory=list)
    left_out: str = ""

    def with_blocks(self, names: Sequence[str]) -> Round:
        """Return the round with some of the evidence blocks."""
        pairs = [(one.with_blocks(names), other.with_blocks(names)) for one, other in self.pairs]
        return replace(self, pairs=pairs, test=self.test.with_blocks(names))


@dataclass(frozen=True, eq=False)
class RoundResult:
    """Result of one model in one round.

    Attributes:
        seed: Seed of the round.
        video_ids: Ids of the test clips.
        labels: Labels of the test clips, (N,).
        scores: Calibrated scores of the test clips, (N,).
        threshold: Threshold chosen on the validation clips.
        metrics: Metrics of the test clips at that threshold.
        left_out: See `Round`.
    """

    seed: int
    video_ids: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    scores: Scores
    threshold: float
    metrics: dict[str, Any]
    left_out: str = ""


@dataclass(frozen=True, eq=False)
class Study:
    """Results of all rounds.

    Attributes:
        outcomes: Outcomes of each model, in the order of the rounds.
        summary: Plain JSON values: `data`, `clips`, `evidence` (width of each block), `folds`,
            `seeds`, `recipe` and, in `models`, the result of `summarise` for each model; with a
            fact to leave out, `left_out` has the result of `summarise_left_out` for each model.
        warnings: Warnings about the metrics.
    """

    outcomes: dict[str, list[RoundResult]]
    summary: dict[str, Any]
    warnings: list[str]


def ablations(configs: Sequence[ExperimentConfig], blocks: Sequence[str]) -> list[ExperimentConfig]:
    """Return each configuration with all evidence blocks, and without each one of them.

    Raises:
        UsageError: There is only one block.
    """
    if len(blocks) < 2:
        raise UsageError(
            "--ablate compares evidence blocks, and the clips have one. Extract more blocks with "
            f"`deepseq extract --evidence`. Received: {', '.join(blocks)}"
        )
    rests = [tuple(blocks), *(tuple(name for name in blocks if name != left) for left in blocks)]
    return [
        replace(config, model=replace(config.model, evidence=rest))
        for config in configs
        for rest in rests
    ]


def rounds(
    data: SequenceData, config: ExperimentConfig, folds: int, seeds: int, leave_out: str = ""
) -> Iterator[Round]:
    """Yield the rounds of a study: `folds` for each of `seeds` seeds, or one if `folds` is 0.

    With a fact to leave out, there is a round for each of its values and each seed instead: the
    clips with this value are the test clips. Clips that share a group with them are in no split,
    and clips without the fact are never tested on.

    With folds, every clip is a test clip once per seed, except clips whose groups are in two folds;
    an official split is ignored. Without folds, each seed splits the clips again, except for an
    official split.

    Raises:
        DatasetError: There are too few groups.
        UsageError: There are neither folds nor test clips.
    """
    for seed in range(config.split.seed, config.split.seed + seeds):
        seeded = replace(
            config,
            split=replace(config.split, seed=seed),
            train=replace(config.train, seed=seed),
        )
        if leave_out:
            for value, rest, held_out in _left_out(data, leave_out):
                pairs = _pairs(data.take(rest), seeded)
                yield Round(seed, pairs, data.take(held_out), left_out=value)
            continue
        if not folds:
            split = split_data(data, seeded.split)
            test = data.take(split.positions.test)
            if not len(test):
                raise UsageError("a study needs test clips: omit --test 0, or use --folds")
            yield Round(seed, member_pairs(data, split.positions, seeded), test, split.warnings)
            continue
        for rest, held_out in make_folds(data, folds, seed):
            yield Round(seed, _pairs(data.take(rest), seeded), data.take(held_out))


def _pairs(remaining: SequenceData, config: ExperimentConfig) -> list[Pair]:
    """Split clips into training and validation clips of each member."""
    positions = split_by_group(
        remaining.labels.tolist(),
        remaining.groups_with_duplicates,
        validation=config.split.validation,
        test=0.0,
        seed=config.split.seed,
        pseudo_fakes=remaining.pseudo_fakes,
    )
    return member_pairs(remaining, positions, config)


def _left_out(data: SequenceData, fact: str) -> Iterator[tuple[str, Rows, Rows]]:
    """Yield each value of a fact, with the positions of unrelated clips and of its clips.

    Raises:
        UsageError: The clips have fewer than two values.
    """
    values = np.array([str(clip.facts.get(fact, "")) for clip in data.clips])
    names = sorted({*values.tolist()} - {""})
    if len(names) < 2:
        raise UsageError(
            f"--leave-out {fact} needs clips with at least two values of it (column `{fact}` in "
            f"--labels). Received: {', '.join(names) or 'none'}"
        )
    groups = [set(names) for names in data.groups_with_duplicates]
    for name in names:
        held_out = values == name
        related = set().union(*(groups[at] for at in np.flatnonzero(held_out)))
        rest = ~held_out & np.array([not related & each for each in groups])
        yield name, np.flatnonzero(rest), np.flatnonzero(held_out)


def study(
    clips: LabelledClips,
    configs: Sequence[ExperimentConfig],
    folds: int,
    seeds: int,
    on_training: Callable[[str], None] = lambda title: None,
    leave_out: str = "",
) -> Study:
    """Train and test every model and every baseline in the same rounds.

    Args:
        clips: The clips, which each round splits again.
        configs: Settings of each model; they differ only in `model`, whose `evidence` selects
            some of the blocks of the clips. The baselines use all blocks.
        folds: Number of folds, or 0 for the split of the settings.
        seeds: Number of seeds.
        on_training: Called with the name of each model after it was trained and tested.
        leave_out: Fact whose values are left out one by one, instead of folds; "" for none.

    Raises:
        DatasetError: There are too few groups for the number of folds.
        UsageError: There are neither folds nor test clips.
    """
    data = clips.data
    outcomes: dict[str, list[RoundResult]] = {}
    training_warnings: dict[str, None] = {}  # in order, without repetitions
    blocks = tuple(data.features.blocks)
    for current in rounds(data, configs[0], folds, seeds, leave_out):
        training_warnings |= dict.fromkeys(current.warnings)
        for config in configs:
            seeded = replace(config, train=replace(config.train, seed=current.seed))
            chosen = current.with_blocks(config.model.evidence or blocks)
            ensemble = fit_ensemble(chosen.pairs, seeded)
            title = _title(config.model, blocks)
            outcomes.setdefault(title, []).append(_outcome(chosen, ensemble))
            training_warnings |= dict.fromkeys(ensemble.warnings)
            on_training(title)
        for name, fit_baseline in BASELINES.items():
            ensemble = fit_baseline(current.pairs, configs[0])
            outcomes.setdefault(name, []).append(_outcome(current, ensemble))
    video_ids = [clip.video_id for clip in data.clips]
    groups = dict(zip(video_ids, data.groups_with_duplicates, strict=True))
    summary = {
        "data": clips.name,
        "clips": data.counts,
        "evidence": dict(data.features.blocks),
        "folds": folds,
        "seeds": seeds,
        "recipe": asdict(configs[0]),
        "models": {title: summarise(rows, groups) for title, rows in outcomes.items()},
    }
    if leave_out:
        summary["left_out"] = {
            title: summarise_left_out(results) for title, results in outcomes.items()
        }
    cnn_weights = str(clips.store.extract_config["backbone"]["weights"])
    warnings = [
        *training_warnings,
        *clips.shortcut.warnings,
        *cnn_warnings(cnn_weights),
        *data_warnings(data),
    ]
    return Study(outcomes, summary, warnings)


def summarise(
    outcomes: Sequence[RoundResult], groups: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    """Summarise the rounds of one model.

    Args:
        outcomes: Outcomes of all rounds.
        groups: Groups of each clip, by its id.

    Returns:
        `rounds`, their number; `mean` and `sd` over the rounds of each metric on the test clips;
        and `pooled`, means over the seeds of metrics on all test clips of a seed together: `auc`,
        its 95 % confidence `interval` (for the mean score of each clip over the seeds), `macro_f1`
        at the thresholds chosen on validation, and `best_macro_f1` at the best possible threshold,
        which cannot be known in advance.
    """
    table = {
        name: np.array([row.metrics[name] for row in outcomes if row.metrics[name] is not None])
        for name in METRICS
    }
    return {
        "rounds": len(outcomes),
        "mean": {
            name: float(values.mean()) if len(values) else None for name, values in table.items()
        },
        "sd": {
            name: float(values.std(ddof=1)) if len(values) > 1 else None
            for name, values in table.items()
        },
        "pooled": _pooled(outcomes, groups),
    }


def summarise_left_out(outcomes: Sequence[RoundResult]) -> dict[str, dict[str, Any]]:
    """Summarise the rounds of one model by the value that was left out.

    Returns:
        For each value, the number of `real` and `fake` clips and, as means over the seeds, `auc`,
        `fpr` (fraction of real clips called fake) and `tpr` (fraction of fakes called fake); None
        if the clips do not support one.
    """
    summary = {}
    for value in dict.fromkeys(outcome.left_out for outcome in outcomes):
        rows = [outcome for outcome in outcomes if outcome.left_out == value]
        called_fake: dict[int, list[float]] = {REAL: [], FAKE: []}
        for row in rows:
            for label, rates in called_fake.items():
                scores = row.scores[row.labels == label]
                rates += [float((scores >= row.threshold).mean())] if len(scores) else []
        aucs = [row.metrics["auc"] for row in rows if row.metrics["auc"] is not None]
        summary[value] = {
            "real": int((rows[0].labels == REAL).sum()),
            "fake": int((rows[0].labels == FAKE).sum()),
            **{
                name: float(np.mean(numbers)) if numbers else None
                for name, numbers in (
                    ("auc", aucs),
                    ("fpr", called_fake[REAL]),
                    ("tpr", called_fake[FAKE]),
                )
            },
        }
    return summary


def save(folder: Path, result: Study) -> None:
    """Write `study.json`, its table as README.md, and every score as `scores.csv`.

    Raises:
        RunError: The folder cannot be written.
    """
    summary = result.summary
    lines = [
        f"# {summary['data']}: {summary['folds'] or 'no'} folds, {summary['seeds']} seeds",
        "",
        *markdown(study_rows(summary["models"])),
        "",
        *(markdown(left_out_rows(summary["left_out"])) if "left_out" in summary else []),
        "",
        *[f"- {warning}" for warning in result.warnings],
        "",
    ]
    with new_folder(folder) as draft:
        atomic.write_json(draft / "study.json", {**summary, "warnings": result.warnings})
        atomic.write_bytes(draft / "README.md", "\n".join(lines).encode())
        atomic.write_bytes(draft / "scores.csv", _as_csv(result.outcomes).encode())


def _title(model: ModelConfig, blocks: Sequence[str]) -> str:
    """Return the name of a model, and the evidence blocks that it does not use."""
    left_out = [name for name in blocks if model.evidence and name not in model.evidence]
    return f"{model.title} without {', '.join(left_out)}" if left_out else model.title


def _as_csv(outcomes: Mapping[str, Sequence[RoundResult]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["model", "seed", "round", "video_id", "label", "score", "threshold"])
    for title, rows in outcomes.items():
        for number, outcome in enumerate(rows):
            clips = zip(outcome.video_ids, outcome.labels, outcome.scores, strict=True)
            for clip in clips:
                writer.writerow([title, outcome.seed, number, *clip, outcome.threshold])
    return buffer.getvalue()


def _outcome(current: Round, ensemble: TrainedEnsemble) -> RoundResult:
    test, threshold = current.test, ensemble.decision.threshold
    labels, scores = test.labels, ensemble.scores(test)
    return RoundResult(
        current.seed,
        tuple(clip.video_id for clip in test.clips),
        labels,
        scores,
        threshold,
        at_threshold(labels, scores, threshold, groups=test.groups_with_duplicates),
        current.left_out,
    )


def _pooled(
    outcomes: Sequence[RoundResult], groups: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    metrics: dict[str, list[Any]] = {"auc": [], "macro_f1": [], "best_macro_f1": []}
    scores_of: dict[str, list[float]] = {}
    label_of: dict[str, int] = {}
    for seed in dict.fromkeys(outcome.seed for outcome in outcomes):
        of_seed = [outcome for outcome in outcomes if outcome.seed == seed]
        labels = np.concatenate([outcome.labels for outcome in of_seed])
        scores = np.concatenate([outcome.scores for outcome in of_seed])
        # Scores relative to the threshold of their round can be compared across rounds.
        margins = np.concatenate([outcome.scores - outcome.threshold for outcome in of_seed])
        if len(np.unique(labels)) == 2:
            metrics["auc"].append(auc(labels, scores))
            metrics["macro_f1"].append(_macro_f1(labels, margins >= 0))
            metrics["best_macro_f1"].append(best_macro_f1(labels, scores))
        for outcome in of_seed:
            rows = zip(outcome.video_ids, outcome.labels, outcome.scores, strict=True)
            for video_id, label, score in rows:
                scores_of.setdefault(video_id, []).append(float(score))
                label_of[video_id] = int(label)
    labels = np.array([label_of[video_id] for video_id in scores_of])
    means = np.array([np.mean(values) for values in scores_of.values()])
    unit = units([groups[video_id] for video_id in scores_of], len(labels))
    interval = bootstrap(labels, means, 0.5, unit)["auc"]
    return {
        **{name: float(np.mean(values)) if values else None for name, values in metrics.items()},
        "interval": interval and list(interval),
        "clips": {"real": int((labels == 0).sum()), "fake": int(labels.sum())},
    }


def _macro_f1(labels: npt.NDArray[np.int64], predictions: npt.NDArray[np.bool_]) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions.astype(np.int64), average="macro", zero_division=0.0))
