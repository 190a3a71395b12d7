"""Settings of a search over settings."""

from __future__ import annotations

from dataclasses import dataclass

from deepfake_seq.config.checks import check, check_choice
from deepfake_seq.config.learning import MODELS, RECURRENT

STRATEGIES = ("grid", "random", "tpe")

SWEPT_MODELS = {
    **{name: (name, False) for name in MODELS},
    **{f"bi{name}": (name, True) for name in RECURRENT},
}
"""What a sweep calls a model: its name, and whether it is bidirectional."""

LISTS = {"model": "gru,bigru", "learning_rate": "3e-4,1e-3,3e-3"}
"""What a grid searches where nobody says it."""

RANGES = {"model": "gru,bigru", "learning_rate": "1e-4:1e-2", "dropout": "0:0.6"}
"""What the other strategies search then."""

MOST_SETTINGS = 10_000
"""Of a grid."""


@dataclass(frozen=True)
class SweepConfig:
    """How settings are searched for.

    Attributes:
        strategy: `grid` tries every combination of listed values; `random` draws them, `tpe` draws
            them where earlier trials did well (tree-structured Parzen estimator).
        trials: How many settings `random` and `tpe` try.
        seeds: With how many seeds each setting is trained: its value is the mean.
    """

    strategy: str = "grid"
    trials: int = 20
    seeds: int = 3

    def __post_init__(self) -> None:
        check_choice("strategy", self.strategy, STRATEGIES)
        check(1 <= self.trials <= 100_000, "trials must be from 1 to 100000", self.trials)
        check(1 <= self.seeds <= 100, "seeds must be from 1 to 100", self.seeds)
