"""Sweeps on small stores, and a training that takes no time."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from deepfake_seq.config import SplitConfig, SweepConfig, TrainConfig
from deepfake_seq.sequence.experiment import Experiment, load_experiment
from deepfake_seq.sequence.sweep import sweep as sweeping
from deepfake_seq.sequence.sweep.space import Space
from deepfake_seq.sequence.training.ensemble import ExperimentConfig
from deepfake_seq.store import FeatureStore

BASE = ExperimentConfig(train=TrainConfig(epochs=1, members=1))


def make_plan(
    store: FeatureStore,
    texts: Mapping[str, Sequence[str]],
    base: ExperimentConfig = BASE,
    **changes: Any,
) -> sweeping.Plan:
    """A plan with `changes` in how it searches."""
    config = SweepConfig(**{"seeds": 2, **changes})
    space = Space.read(texts, config.strategy)
    return sweeping.Plan(_prepared(store, base.split), space, base, config)


@lru_cache
def _prepared(store: FeatureStore, split: SplitConfig) -> Experiment:
    return load_experiment(store, split)


def made_up(pairs: object, config: ExperimentConfig) -> dict[str, float]:
    """In place of training: values that depend on the config and on nothing else."""
    return {"auc": zlib.crc32(repr(config).encode()) / 2**32, "brier": 0.1, "seconds": 0.0}


def outcomes(result: sweeping.SweepResult) -> list[tuple[Any, ...]]:
    """The number and the attributes of each trial, without how long it took."""
    return [
        (trial.number, {**trial.user_attrs, "seconds": None})
        for trial in (*result.ranked, *result.failed)
    ]
