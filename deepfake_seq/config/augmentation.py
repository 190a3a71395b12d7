"""Settings of what training is shown beside the clips themselves."""

from __future__ import annotations

from dataclasses import dataclass

from deepfake_seq.config.checks import check, check_choice

AUGMENTED = ("none", "real", "fake", "all")
DEGRADATIONS = ("jpeg", "h264", "blur")
VIEW_KINDS = ("view", "blend")
"""Of records that are made from a clip: an augmented view of it, or a self-blended fake."""

_MAX_VIEWS = 100
_REAL, _FAKE = 0, 1
_LABELS = {"none": (), "real": (_REAL,), "fake": (_FAKE,), "all": (_REAL, _FAKE)}


@dataclass(frozen=True)
class ViewsConfig:
    """Further records of a clip in a feature store, which serve for training only.

    Attributes:
        augment: The class whose clips get augmented views: `none`, `real`, `fake` or `all`.
        views: How many each of them gets.
        self_blend: How many self-blended fakes each real clip gets.
        degrade: What views and fakes may go through at the end, each by chance: `jpeg` and `h264`
            re-compression, `blur`.
        seed: Of the draws.
    """

    augment: str = "none"
    views: int = 1
    self_blend: int = 0
    degrade: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("augment", self.augment, AUGMENTED)
        check(1 <= self.views <= _MAX_VIEWS, "views must be from 1 to 100", self.views)
        check(
            0 <= self.self_blend <= _MAX_VIEWS, "self-blend must be from 0 to 100", self.self_blend
        )
        for way in self.degrade:
            check_choice("degrade", way, DEGRADATIONS)
        check(0 <= self.seed < 2**32, "seed must be from 0 to 4294967295", self.seed)

    def augments(self, label: int) -> bool:
        """Whether a clip of that label gets augmented views; one of unknown label never does."""
        return label in _LABELS[self.augment]

    def counts(self, label: int) -> dict[str, int]:
        """How many records of each of `VIEW_KINDS` are made from a clip of that label."""
        return {
            "view": self.views if self.augments(label) else 0,
            "blend": self.self_blend if label == _REAL else 0,
        }

    def wanted(self, label: int) -> bool:
        """Whether any record is made from a clip of that label."""
        return any(self.counts(label).values())
