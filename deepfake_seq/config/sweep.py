"""Settings of a hyper-parameter search."""

from __future__ import annotations

from dataclasses import dataclass

from deepfake_seq.config.checks import check, check_choice
from deepfake_seq.config.learning import MODELS, RECURRENT

STRATEGIES = ("grid", "random", "tpe")

SWEPT_MODELS = {
    **{name: (name, False) for name in MODELS},
    **{f"bi{name}": (name, True) for name in RECURRENT},
}
"""Models by their name in a sweep: the name in `MODELS`, and whether it is bidirectional."""

LISTS = {"model": "gru,bigru", "learning_rate": "3e-4,1e-3,3e-3"}
"""Values that a grid searches by default."""

RANGES = {"model": "gru,bigru", "learning_rate": "1e-4:1e-2", "dropout": "0:0.6"}
"""Ranges that the other strategies search by default."""

MAX_SETTINGS = 10_000
"""Maximum size of a grid."""


@dataclass(frozen=True)
class SweepConfig:
    """How settings are searched.

    Attributes:
        strategy: `grid` tries every combination of listed values; `random` samples settings, `tpe`
            samples near those that did well (tree-structured Parzen estimator).
        trials: Number of trials of `random` and `tpe`.
        seeds: Number of seeds to train each setting with; settings are ranked by their mean.
    """

    strategy: str = "grid"
    trials: int = 20
    seeds: int = 3

    def __post_init__(self) -> None:
        check_choice("strategy", self.strategy, STRATEGIES)
        check(1 <= self.trials <= 100_000, "trials must be from 1 to 100000", self.trials)
        check(1 <= self.seeds <= 100, "seeds must be from 1 to 100", self.seeds)
