"""Hyper-parameter search for stage 2, on clips that are read and split once.

Settings are ranked by validation clips only; test clips are never used.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from deepfake_seq.config import SweepConfig
from deepfake_seq.errors import DatasetError, TrainingError
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.evaluation.metrics import auc_or_nan
from deepfake_seq.sequence.experiment import Experiment
from deepfake_seq.sequence.reports.model_card import cnn_warnings, data_warnings
from deepfake_seq.sequence.sweep import files, trials
from deepfake_seq.sequence.sweep.space import Setting, Space, apply_setting, key
from deepfake_seq.sequence.training.ensemble import (
    ExperimentConfig,
    Pair,
    fit_ensemble,
    member_pairs,
)
from deepfake_seq.store import Fingerprint

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

OnTraining = Callable[[str], None]
Progress = Callable[[int, int, int], AbstractContextManager[OnTraining]]
Validate = Callable[[Sequence[Pair], ExperimentConfig], dict[str, float]]
"""Trains a model; returns `auc` and `brier` on the validation clips, and the `seconds` it took."""

Train = Callable[[Setting, int], dict[str, float]]
"""Trains a setting with a seed, unless the result is known; raises `TrainingError`."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Plan:
    """A search: its clips, its settings and its strategy.

    Attributes:
        experiment: Clips, split into training, validation and test.
        space: Settings to search.
        base: Everything that is not searched; its seed is the first of `seeds`.
        config: Strategy, number of trials and number of seeds.
    """

    experiment: Experiment
    space: Space
    base: ExperimentConfig
    config: SweepConfig

    @property
    def seeds(self) -> range:
        """The seeds each setting is trained with."""
        return range(self.base.train.seed, self.base.train.seed + self.config.seeds)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything the result of a trial depends on, as nested JSON values."""
        data, split = self.experiment.data, self.experiment.split.positions.by_name()
        splits = {name: [data.clips[row].video_id for row in rows] for name, rows in split.items()}
        clips = [
            [clip.video_id, clip.sha256, clip.label, sorted(clip.groups)] for clip in data.clips
        ]
        views = [
            [view.video_id, view.label, view.settings] for clip in data.clips for view in clip.views
        ]
        train = {
            name: value
            for name, value in asdict(self.base.train).items()
            if name not in self.space.values
        }
        search = {"strategy": self.config.strategy, "seeds": self.config.seeds}
        return {
            "features": dict(self.experiment.store.fingerprint.fields),
            "clips": {**data.counts, "digest": _digest(clips)},
            **({"views": {**data.view_counts, "digest": _digest(views)}} if views else {}),
            "parts": {name: len(ids) for name, ids in splits.items()} | {"digest": _digest(splits)},
            "train": train,
            "split": asdict(self.base.split),
            "search": self.space.describe() | search,
        }

    @property
    def default_folder(self) -> Path:
        """Default folder, which is the same for the same search on the same clips."""
        store = self.experiment.store.path.resolve().name
        return Path("sweeps", f"{store}-{_digest(self.identity)[:8]}")


@dataclass(frozen=True, eq=False)
class SweepResult:
    """The trials of a sweep.

    Attributes:
        plan: The search.
        ranked: One trial for each setting that could be trained, the best first; the docstring of
            `trials` lists their user attributes.
        failed: One trial for each setting that could not be trained.
        trials: Number of trials, including those that sampled a setting again.
        members: Number of networks in each training.
        splits: Number of clips in `validation` and `test`.
        warnings: Warnings about limits of the ranking, for users to read.
    """

    plan: Plan
    ranked: list[FrozenTrial]
    failed: list[FrozenTrial]
    trials: int
    members: int
    splits: dict[str, int]
    warnings: list[str]

    @property
    def best(self) -> ExperimentConfig:
        """Configuration of the best setting, with the first seed rather than the luckiest one."""
        return apply_setting(self.ranked[0].user_attrs["setting"], self.plan.base)


def validate(pairs: Sequence[Pair], config: ExperimentConfig) -> dict[str, float]:
    """Train once, and evaluate each network on its validation clips, as `fit` does.

    Returns:
        `auc`, `brier` (of the calibrated scores, both classes with the same total weight; lower is
        better) and `seconds`.

    Raises:
        TrainingError: Training diverged.
    """
    from sklearn.metrics import brier_score_loss

    started = time.monotonic()
    ensemble = fit_ensemble(pairs, config)
    labels, scores = ensemble.validation.labels, ensemble.validation_scores
    brier = brier_score_loss(labels, scores, sample_weight=1.0 / np.bincount(labels)[labels])
    return {
        "auc": auc_or_nan(labels, scores),
        "brier": float(brier),
        "seconds": time.monotonic() - started,
    }


def sweep(
    plan: Plan,
    folder: Path,
    progress: Progress = lambda done, trials, trainings: nullcontext(lambda note: None),
    validate: Validate = validate,
) -> SweepResult:
    """Try every setting that was not tried yet, and rank all of them.

    The result of each training is stored as soon as it is finished, so that an interrupted sweep
    can be resumed.

    Args:
        plan: The search.
        folder: Folder of the sweep: a new one, or one of the same plan to resume.
        progress: Called with the numbers of finished trials, of all trials and of trainings left;
            returns a context manager that gives a function to call with a note after each training.
        validate: Trains and evaluates one configuration.

    Raises:
        UsageError: `folder` contains something else, or another process is using it.
        DatasetError: There are too few groups for the members, or validation has only one class.
        TrainingError: No setting could be trained.
        StoreError: A record is damaged.
        RunError: The folder cannot be read or written.
    """
    pairs = _pairs(plan)
    strategy = plan.config.strategy
    grid = plan.space.grid() if strategy == "grid" else None
    total = plan.config.trials if grid is None else len(grid)
    files.require_same(folder, plan.identity)
    with trials.locked(folder):
        files.write_identity(folder, plan.identity, plan.experiment.name)
        with trials.opened(folder) as study:
            done = study.get_trials()
            missing = range(len(done), total)
            trainings = len(missing) * len(plan.seeds)
            train = _cached(study, plan, pairs, validate)
            running = trials.in_memory(done)
            with progress(len(done), max(total, len(done)), trainings) as step:
                for number in missing:
                    setting = grid[number] if grid else None
                    trial = trials.ask(running, plan.space, strategy, plan.seeds[0], setting)
                    done.append(_finish(running, trial, plan.seeds, train, step))
                    study.add_trial(done[-1])
                    files.write_trials(folder, done, plan.seeds)
        files.write_trials(folder, done, plan.seeds)  # a killed process leaves it one trial behind
        result = _ranked(plan, done, pairs)
        files.write_summary(folder, result.ranked, result.failed, plan.space, result.warnings)
    return result


def _pairs(plan: Plan) -> list[Pair]:
    """Return the training and validation clips of each ensemble member."""
    positions = plan.experiment.split.positions
    pairs = member_pairs(plan.experiment.data, positions, plan.base)
    counts = SequenceData.joined([validation for _, validation in pairs]).counts
    if not all(counts.values()):
        raise DatasetError(
            "ranking needs real and fake validation clips: extract more clips, or split them again "
            f"with --split group. Received: {counts['real']} real and {counts['fake']} fake"
        )
    replace(plan.base.train, seed=plan.seeds[-1])  # raises if the last seed is out of range
    return pairs


def _cached(study: Study, plan: Plan, pairs: Sequence[Pair], validate: Validate) -> Train:
    """Cache the results of `validate` in the study, so that no training is repeated."""
    results = study.user_attrs

    def train(setting: Setting, seed: int) -> dict[str, float]:
        name = f"seed {seed} of {key(setting)}"
        if name not in results:
            config = apply_setting(setting, plan.base)
            config = replace(config, train=replace(config.train, seed=seed))
            try:
                results[name] = validate(pairs, config)
            except TrainingError as error:
                results[name] = {"failed": f"with seed {seed}: {error}"}
            study.set_user_attr(name, results[name])
        if "failed" in results[name]:
            raise TrainingError(results[name]["failed"])
        result: dict[str, float] = results[name]
        return result

    return train


def _finish(
    study: Study, trial: Trial, seeds: range, train: Train, on_training: OnTraining
) -> FrozenTrial:
    """Train the setting of a trial with every seed; stop if one fails."""
    from optuna.trial import TrialState

    results: dict[int, dict[str, float]] = {}
    failed = ""
    try:
        for seed in seeds:
            results[seed] = train(trial.user_attrs["setting"], seed)
            on_training(f"validation AUC {results[seed]['auc']:.3f}")
    except TrainingError as error:
        failed = str(error)
        _logger.warning("trial %d failed %s", trial.number, failed)
        for _ in seeds[len(results) :]:
            on_training("failed")
    aucs = [result["auc"] for result in results.values()]
    trial.set_user_attr("auc_by_seed", {str(seed): results[seed]["auc"] for seed in results})
    trial.set_user_attr("seconds", round(sum(result["seconds"] for result in results.values()), 1))
    if failed:
        trial.set_user_attr("failed", failed)
        return study.tell(trial, state=TrialState.FAIL)
    trial.set_user_attr("auc", fmean(aucs))
    trial.set_user_attr("auc_sd", stdev(aucs) if len(aucs) > 1 else None)
    trial.set_user_attr("brier", fmean(result["brier"] for result in results.values()))
    return study.tell(trial, fmean(aucs))


def _ranked(plan: Plan, done: Sequence[FrozenTrial], pairs: Sequence[Pair]) -> SweepResult:
    """Rank by mean AUC, then by Brier score (few clips often give the same AUC), then by number."""
    distinct = {key(trial.user_attrs["setting"]): trial for trial in reversed(done)}.values()
    by_number = sorted(distinct, key=lambda trial: trial.number)
    failed = [trial for trial in by_number if "failed" in trial.user_attrs]
    ranked = [trial for trial in by_number if "failed" not in trial.user_attrs]
    ranked.sort(key=lambda trial: (-trial.user_attrs["auc"], trial.user_attrs["brier"]))
    if not ranked:
        raise TrainingError(
            f"none of {len(failed)} settings could be trained. The first one failed "
            f"{failed[0].user_attrs['failed']}"
        )
    experiment = plan.experiment
    warnings = [
        *_selection_warnings(ranked),
        *experiment.split.warnings,
        *experiment.shortcut.warnings,
        *cnn_warnings(str(experiment.store.extract_config["backbone"]["weights"])),
        *data_warnings(experiment.data),
    ]
    splits = {
        "validation": sum(len(validation) for _, validation in pairs),
        "test": len(experiment.split.positions.test),
    }
    return SweepResult(plan, ranked, failed, len(done), len(pairs), splits, warnings)


def _selection_warnings(ranked: Sequence[FrozenTrial]) -> list[str]:
    """List the limits of the ranking that follow from choosing the best of several settings."""
    best, *others = (trial.user_attrs for trial in ranked)
    if not others:
        return []
    warnings = [
        f"The best of {len(ranked)} validation AUCs is too optimistic because it was selected as "
        "the best: only the test clips show how good that setting is."
    ]
    if best["auc_sd"] is None:
        return [
            *warnings,
            "With one seed, a better setting cannot be distinguished from chance: use --seeds 3.",
        ]
    near = sum(
        best["auc"] - other["auc"] <= max(best["auc_sd"], other["auc_sd"]) for other in others
    )
    if near:
        warnings.append(
            f"{near} of the other {len(others)} settings are within one standard deviation over "
            "seeds of the best: these clips do not show which of them is better."
        )
    return warnings


def _digest(value: object) -> str:
    return Fingerprint({"value": value}).id
