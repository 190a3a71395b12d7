"""Sweeps on small stores, and a training that takes no time."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from deepfake_seq.config import SplitConfig, SweepConfig, TrainConfig
from deepfake_seq.sequence import sweep as sweeping
from deepfake_seq.sequence.learning import Recipe
from deepfake_seq.sequence.problem import Problem, prepare
from deepfake_seq.sequence.space import Space
from deepfake_seq.sequence.trials import Round, Tried
from deepfake_seq.store import FeatureStore

BASE = Recipe(train=TrainConfig(epochs=1, members=1))


def make_plan(
    store: FeatureStore,
    texts: Mapping[str, Sequence[str]],
    base: Recipe = BASE,
    **changes: Any,
) -> sweeping.Plan:
    """A plan with `changes` in how it searches."""
    config = SweepConfig(**{"seeds": 2, **changes})
    space = Space.read(texts, config.strategy)
    return sweeping.Plan(_prepared(store, base.split), space, base, config)


@lru_cache
def _prepared(store: FeatureStore, split: SplitConfig) -> Problem:
    return prepare(store, split)


def made_up(pairs: object, recipe: Recipe) -> Round:
    """In place of `sweep.validate`: figures that depend on the recipe and on nothing else."""
    return Round(zlib.crc32(repr(recipe).encode()) / 2**32, 0.1, 0.0)


def outcomes(swept: sweeping.Swept) -> list[tuple[Any, ...]]:
    """What was found, without how long it took."""

    def told(own: Tried) -> tuple[Any, ...]:
        aucs = {seed: found.auc for seed, found in own.rounds.items()}
        return own.index, own.setting, aucs, own.reason

    return [told(own) for own in (*swept.ranked, *swept.failed)]
