"""Settings of a hyper-parameter search."""

from __future__ import annotations

from dataclasses import dataclass

from deepfake_seq.config.learning import MODELS, RECURRENT
from deepfake_seq.config.setting import check_settings, setting

STRATEGIES = ("grid", "random", "tpe")

SWEPT_MODELS = {
    **{name: (name, False) for name in MODELS if name != "autoencoder"},
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
    """How settings are searched."""

    strategy: str = setting(
        "grid",
        "Search strategy: grid tries every combination, random samples settings, tpe samples near "
        "good ones (tree-structured Parzen estimator).",
        choices=STRATEGIES,
    )
    trials: int = setting(20, "Number of settings that random and tpe try.", low=1, high=100_000)
    seeds: int = setting(
        3,
        "Number of seeds to train each setting with; settings are ranked by their mean.",
        low=1,
        high=100,
    )

    def __post_init__(self) -> None:
        check_settings(self)
