"""A search over settings of stage 2, on clips that are read and dealt into parts once.

Settings are chosen by validation clips alone: no network is shown a test clip.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepfake_seq.config import SweepConfig
from deepfake_seq.errors import DatasetError, TrainingError
from deepfake_seq.sequence import sweep_files
from deepfake_seq.sequence.card import about_cnn, about_data
from deepfake_seq.sequence.data import SequenceData
from deepfake_seq.sequence.learning import Learned, Pair, Recipe, learn, pairs_of
from deepfake_seq.sequence.metrics import auc
from deepfake_seq.sequence.problem import Problem
from deepfake_seq.sequence.space import Space, key, recipe
from deepfake_seq.sequence.trials import Attempt, Round, Tried, locked, opened

OnStart = Callable[[int, int, int], None]
OnRound = Callable[[str], None]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Plan:
    """What is searched, and on what.

    Attributes:
        problem: The clips.
        space: The settings.
        base: Everything that is not searched; its seed is the first of the trainings'.
        config: How the settings are searched.
    """

    problem: Problem
    space: Space
    base: Recipe
    config: SweepConfig

    @property
    def seeds(self) -> range:
        """Those of the trainings."""
        return range(self.base.train.seed, self.base.train.seed + self.config.seeds)

    @property
    def identity(self) -> dict[str, Any]:
        """All that the value of a trial depends on, in words and figures."""
        data, parts = self.problem.data, self.problem.parts.split.parts()
        names = {part: [data.clips[row].video_id for row in rows] for part, rows in parts.items()}
        facts = [
            [clip.video_id, clip.sha256, clip.label, sorted(clip.groups)] for clip in data.clips
        ]
        train = asdict(self.base.train)
        for searched in self.space.values:
            train.pop(searched, None)
        views = [
            [view.video_id, view.label, view.settings] for clip in data.clips for view in clip.views
        ]
        return {
            "features": dict(self.problem.store.fingerprint.fields),
            "clips": {**data.counts, "sha256": _digest(facts)},
            **({"views": {**data.view_counts, "sha256": _digest(views)}} if views else {}),
            "parts": {
                **{part: len(rows) for part, rows in names.items()},
                "sha256": _digest(names),
            },
            "train": train,
            "split": asdict(self.base.split),
            "search": {
                **self.space.describe(),
                "strategy": self.config.strategy,
                "seeds": self.config.seeds,
            },
        }

    @property
    def default_folder(self) -> Path:
        """A folder whose name the same search on the same clips has again, and no other."""
        store = self.problem.store.path.resolve().name
        return Path("sweeps", f"{store}-{_digest(self.identity)[:8]}")


@dataclass(frozen=True, eq=False)
class Swept:
    """What a sweep has found.

    Attributes:
        plan: What was searched.
        ranked: Every setting that could be trained, the best first.
        failed: Every one that could not.
        trials: How many trials there are; as many as settings, but for those drawn twice.
        members: How many networks each training has.
        parts: How many clips `validation` and `test` hold.
        warnings: What a reader must be told.
    """

    plan: Plan
    ranked: list[Tried]
    failed: list[Tried]
    trials: int
    members: int
    parts: dict[str, int]
    warnings: list[str]

    @property
    def best(self) -> Recipe:
        """The recipe of the best setting, with the first seed: no seed is picked for its luck."""
        return recipe(self.ranked[0].setting, self.plan.base)


def sweep(
    plan: Plan,
    folder: Path,
    on_start: OnStart = lambda done, trials, trainings: None,
    on_round: OnRound = lambda note: None,
) -> Swept:
    """Try every setting that was not tried yet, and rank all of them.

    Whatever is finished is kept at once: a sweep that was interrupted goes on from there.

    Args:
        plan: What is searched.
        folder: Where the trials are kept; one of the same plan goes on.
        on_start: Called with how many trials are done, how many there are, and how many trainings
            are left.
        on_round: Called with a note after each training.

    Raises:
        UsageError: `folder` holds something else, or another process is at work in it.
        DatasetError: There are too few groups for the members.
        TrainingError: No setting could be trained.
        StoreError: A record is damaged.
        RunError: The folder cannot be read or written.
    """
    split = plan.problem.parts.split
    pairs = pairs_of(plan.problem.data, split.train, split.validation, plan.base)
    held_out = SequenceData.joined([validation for _, validation in pairs])
    if not all(held_out.counts.values()):
        raise DatasetError(
            "validation clips of one class rank nothing: --split group deals them out anew, if "
            "there are real and fake clips. "
            f"Received: {held_out.counts['real']} real and {held_out.counts['fake']} fake"
        )
    replace(plan.base.train, seed=plan.seeds[-1])  # refuses a seed that is out of range
    sweep_files.require_own(folder, plan.identity)
    with locked(folder):
        sweep_files.found(folder, plan.identity, plan.problem.name)
        given = plan.space.grid() if plan.config.strategy == "grid" else None
        total = plan.config.trials if given is None else len(given)
        with opened(folder, plan.space, plan.config.strategy, plan.base.train.seed) as ledger:
            done = ledger.done()
            missing = [index for index in range(total) if index not in done]
            on_start(len(done), max(total, len(done)), len(missing) * len(plan.seeds))
            for index in missing:
                attempt = ledger.begin(index, given[index] if given else None)
                done[index] = _try(attempt, pairs, plan, on_round)
                sweep_files.write_trials(folder, list(done.values()), plan.seeds)
        sweep_files.write_trials(folder, list(done.values()), plan.seeds)  # one may be behind
        parts = {"validation": len(held_out), "test": len(split.test)}
        swept = _ranked(plan, list(done.values()), len(pairs), parts)
        sweep_files.write_summary(folder, swept.ranked, swept.failed, plan.space, swept.warnings)
    return swept


def validate(pairs: Sequence[Pair], chosen: Recipe) -> Round:
    """Train once, and judge by what the networks held out, as `fit` does.

    Raises:
        TrainingError: It diverged.
    """
    started = time.monotonic()
    learned = learn(pairs, chosen)
    value = auc(learned.validation.labels, learned.validation_scores)
    assert value is not None, "both classes were asked for before"
    return Round(value, _brier(learned), time.monotonic() - started)


def _try(attempt: Attempt, pairs: Sequence[Pair], plan: Plan, on_round: OnRound) -> Tried:
    """One trial: its setting with every seed, but for what is known already."""
    chosen = recipe(attempt.setting, plan.base)
    for number, seed in enumerate(plan.seeds):
        if seed not in attempt.rounds and not attempt.reason:
            try:
                own = replace(chosen, train=replace(chosen.train, seed=seed))
                attempt.add(seed, validate(pairs, own))
            except TrainingError as error:
                attempt.reason = f"with seed {seed}: {error}"
        if attempt.reason:
            for _ in plan.seeds[number:]:
                on_round("failed")
            _logger.warning("trial %d failed %s", attempt.index, attempt.reason)
            return attempt.fail(attempt.reason)
        on_round(f"validation AUC {attempt.rounds[seed].auc:.3f}")
    return attempt.complete(plan.seeds)


def _ranked(plan: Plan, tried: Sequence[Tried], members: int, parts: dict[str, int]) -> Swept:
    distinct = list({key(own.setting): own for own in reversed(tried)}.values())
    # At the same AUC, which few clips give often, by how good the probabilities are.
    ranked = sorted(
        (own for own in distinct if not own.reason),
        key=lambda own: (-own.mean, own.brier, own.index),
    )
    failed = sorted((own for own in distinct if own.reason), key=lambda own: own.index)
    if not ranked:
        raise TrainingError(
            f"none of {len(failed)} settings could be trained; the first failed {failed[0].reason}"
        )
    problem = plan.problem
    return Swept(
        plan,
        ranked,
        failed,
        len(tried),
        members,
        parts,
        [
            *_about_choice(ranked),
            *problem.parts.warnings,
            *problem.shortcut.warnings,
            *about_cnn(str(problem.store.extract_config["backbone"]["weights"])),
            *about_data(problem.data),
        ],
    )


def _about_choice(ranked: Sequence[Tried]) -> list[str]:
    """How far the best setting is to be believed."""
    if len(ranked) < 2:
        return []
    best = ranked[0]
    warnings = [
        f"The best of {len(ranked)} validation AUCs is too good for being the best: only the test "
        "clips tell how well it does."
    ]
    if best.spread is None:
        return [*warnings, "One seed does not tell luck from merit: --seeds 3 does better."]
    near = sum(best.mean - own.mean <= max(best.spread, own.spread or 0.0) for own in ranked[1:])
    if near:
        warnings.append(
            f"{near} of the other {len(ranked) - 1} settings are as near to the best as seeds are "
            "to each other: these clips do not tell them apart."
        )
    return warnings


def _brier(learned: Learned) -> float:
    from sklearn.metrics import brier_score_loss

    labels = learned.validation.labels
    alike = 1.0 / np.bincount(labels)[labels]  # the same sum for both classes
    return float(brier_score_loss(labels, learned.validation_scores, sample_weight=alike))


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
