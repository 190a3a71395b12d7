"""Settings of the views and self-blended fakes that are added for training."""

from __future__ import annotations

from dataclasses import dataclass

from deepfake_seq.config.setting import check_settings, setting

AUGMENTED = ("none", "real", "fake", "all")
DEGRADATIONS = ("jpeg", "h264", "blur")
VIEW_KINDS = ("view", "blend")
"""Kinds of records made from a clip: an augmented view, or a self-blended fake."""

_MAX_VIEWS = 100
_REAL, _FAKE = 0, 1
_LABELS = {"none": (), "real": (_REAL,), "fake": (_FAKE,), "all": (_REAL, _FAKE)}


@dataclass(frozen=True)
class ViewsConfig:
    """Additional records of a clip in a feature store, used for training only."""

    augment: str = setting(
        "none", "Classes whose clips get augmented views, for training only.", choices=AUGMENTED
    )
    views: int = setting(
        1, "Number of augmented views per clip.", low=1, high=_MAX_VIEWS, metavar="K"
    )
    self_blend: int = setting(
        0,
        "Number of self-blended fakes per real clip, for training only.",
        low=0,
        high=_MAX_VIEWS,
        metavar="K",
    )
    degrade: tuple[str, ...] = setting(
        (),
        "Degradation applied at random to views and self-blended fakes: JPEG or H.264 compression, "
        "or blur. Repeat the option for several.",
        choices=DEGRADATIONS,
    )
    seed: int = setting(0, "Seed of the random augmentation.", low=0, high=2**32 - 1)

    def __post_init__(self) -> None:
        check_settings(self)

    def augments(self, label: int) -> bool:
        """Return whether clips with this label get views; clips of unknown label never do."""
        return label in _LABELS[self.augment]

    def counts(self, label: int) -> dict[str, int]:
        """Return the number of records of each of `VIEW_KINDS` per clip with this label."""
        return {
            "view": self.views if self.augments(label) else 0,
            "blend": self.self_blend if label == _REAL else 0,
        }

    def wanted(self, label: int) -> bool:
        """Return whether any record is made from a clip with this label."""
        return any(self.counts(label).values())
