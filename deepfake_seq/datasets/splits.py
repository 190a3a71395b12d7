"""Splits in which no identity and no source video stands on two sides.

Pure functions of labels and groups: no video and no file is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets.items import FAKE, REAL
from deepfake_seq.errors import DatasetError

PARTS = ("train", "validation", "test")

_CANDIDATES = 400
_POLISHED = 200
_DROP_COST = 2.0
_NEED = np.array([10.0, 10.0, 1.0])
"""How bad it is for a part to lack a class; the test part is the least needed of the three."""

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Positions of the clips in each part, in rising order.

    Attributes:
        dropped: Clips whose groups stand on two sides, left out of all parts.
    """

    train: IntArray
    validation: IntArray
    test: IntArray
    dropped: IntArray

    def parts(self) -> dict[str, IntArray]:
        """The three parts by name."""
        return {name: getattr(self, name) for name in PARTS}


def split_by_group(
    labels: Sequence[int],
    groups: Sequence[tuple[str, ...]],
    *,
    validation: float,
    test: float,
    seed: int,
) -> Split:
    """Split clips so that the parts share no group and hold both classes in like shares.

    Groups, not clips, are dealt out. Of many seeded ways to deal them, the one is taken that comes
    nearest to the asked share of each class in each part and drops the fewest clips. Clips that tie
    groups together (a face of one person on the video of another) keep them in one part as long as
    that leaves enough to deal out; otherwise the clips that straddle are dropped.

    Args:
        labels: 1 = fake, 0 = real, one for each clip.
        groups: The groups of each clip; a clip without one is a group of its own.
        validation: The share of clips wanted for validation.
        test: The share of clips wanted for testing; may be 0.
        seed: Of the dealing; the same seed gives the same split.

    Raises:
        DatasetError: There is a single class, or there are too few groups for both classes to stand
            in training and in validation.
    """
    label_array = np.asarray(labels, dtype=np.int64)
    _require_both_classes(label_array)
    membership = _Membership.to_deal_out(groups, 0.5, len(label_array))
    if membership.count < 2:
        raise DatasetError(
            "all clips belong to one group, so nothing can be kept apart for validation: "
            "at least two groups are needed. Add clips of other people."
        )
    shares = np.array([1.0 - validation - test, validation, test])
    side = membership.sides(_best_assignment(label_array, membership, shares, _NEED, seed))
    train, validating, testing = (np.flatnonzero(side == part) for part in range(3))
    split = Split(train, validating, testing, dropped=np.flatnonzero(side < 0))
    for name in ("train", "validation"):
        if set(label_array[split.parts()[name]].tolist()) != {REAL, FAKE}:
            raise DatasetError(
                "no split by group puts both classes into training and validation: "
                f"{membership.count} groups are too few, or one class sits in too few of them. "
                "Add clips of more people of the rarer class."
            )
    return split


@dataclass(frozen=True)
class Fold:
    """One round of a grouped cross-validation, as positions of the clips in rising order.

    Attributes:
        rest: Clips that share no group with `held_out`.
        held_out: Clips whose groups all belong to this round.
        dropped: Clips whose groups stand on both sides.
    """

    rest: IntArray
    held_out: IntArray
    dropped: IntArray


def grouped_folds(
    labels: Sequence[int], groups: Sequence[tuple[str, ...]], count: int, seed: int
) -> list[Fold]:
    """Deal the groups into `count` folds that hold both classes in like shares.

    Args:
        labels: 1 = fake, 0 = real.
        groups: The groups of each clip; a clip without one is a group of its own.
        count: How many folds.
        seed: Of the dealing.

    Raises:
        DatasetError: There is a single class, or there are too few groups for both classes to stand
            in every fold.
    """
    label_array = np.asarray(labels, dtype=np.int64)
    _require_both_classes(label_array)
    membership = _Membership.to_deal_out(groups, 1.0 / count, len(label_array))
    shares = np.full(count, 1.0 / count)
    assignment = _best_assignment(label_array, membership, shares, np.full(count, 10.0), seed)
    side = membership.sides(assignment)
    folds = []
    for number in range(count):
        held_out = side == number
        apart = ~membership.touches(assignment == number)
        folds.append(
            Fold(*(np.flatnonzero(part) for part in (apart, held_out, ~apart & ~held_out)))
        )
    for fold in folds:
        for part in (fold.rest, fold.held_out):
            if set(label_array[part].tolist()) != {REAL, FAKE}:
                raise DatasetError(
                    f"{membership.count} groups cannot be dealt into {count} folds with both "
                    "classes in each. Ask for fewer, or add clips of more people of the rarer "
                    "class."
                )
    return folds


def tied_units(groups: Sequence[tuple[str, ...]]) -> IntArray:
    """The unit of each clip, (N,), numbered from 0: clips that groups tie together are one.

    Args:
        groups: The groups of each clip; one without any is a unit of its own.
    """
    if not groups:
        return np.zeros(0, dtype=np.int64)
    return np.unique(_Membership.of(groups).tied(), return_inverse=True)[1].astype(np.int64)


def _require_both_classes(labels: IntArray) -> None:
    fakes, reals = int((labels == FAKE).sum()), int((labels == REAL).sum())
    if not fakes or not reals:
        raise DatasetError(
            f"both classes are needed to tell them apart. Received: {reals} real and "
            f"{fakes} fake clips"
        )


@dataclass(frozen=True)
class _Membership:
    """Which clip belongs to which groups, as flat arrays sorted by clip.

    Attributes:
        group: The number of a group, for each pair of a clip and one of its groups.
        start: Where each clip's pairs begin in `group`.
        count: How many groups there are.
    """

    group: IntArray
    start: IntArray
    count: int

    @classmethod
    def of(cls, groups: Sequence[tuple[str, ...]]) -> _Membership:
        names: dict[object, int] = {}
        numbers: list[int] = []
        start: list[int] = []
        for clip, clip_groups in enumerate(groups):
            start.append(len(numbers))
            for key in clip_groups or (("clip without a group", clip),):
                numbers.append(names.setdefault(key, len(names)))
        return cls(np.array(numbers, dtype=np.int64), np.array(start, dtype=np.int64), len(names))

    @classmethod
    def to_deal_out(cls, groups: Sequence[tuple[str, ...]], most: float, clips: int) -> _Membership:
        """With groups that clips tie together as one, unless one had more than a share of all."""
        single = cls.of(groups)
        tied = cls.of([(str(unit),) for unit in single.tied()])
        return tied if tied.largest <= most * clips else single

    def tied(self) -> IntArray:
        """For each clip, the number of the connected component that its groups form."""
        parent = list(range(self.count))

        def root(group: int) -> int:
            while parent[group] != group:
                parent[group] = parent[parent[group]]
                group = parent[group]
            return group

        for own in np.split(self.group, self.start[1:]):
            for group in own[1:]:
                parent[root(int(group))] = root(int(own[0]))
        return np.array([root(int(group)) for group in self.group[self.start]], dtype=np.int64)

    @property
    def largest(self) -> int:
        """The clips in the largest group."""
        return int(np.bincount(self.group).max())

    def sides(self, assignment: IntArray) -> IntArray:
        """The part of each clip when group g goes to `assignment[g]`; -1 where groups disagree."""
        parts = assignment[self.group]
        low = np.minimum.reduceat(parts, self.start)
        return np.where(low == np.maximum.reduceat(parts, self.start), low, -1)

    def touches(self, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Whether any group of each clip is among the chosen ones."""
        return np.maximum.reduceat(chosen[self.group], self.start)


def _best_assignment(
    labels: IntArray,
    membership: _Membership,
    shares: npt.NDArray[np.float64],
    need: npt.NDArray[np.float64],
    seed: int,
) -> IntArray:
    """The part (0, 1 …) of each group.

    Args:
        labels: Of the clips.
        membership: Their groups.
        shares: The share of clips wanted in each part.
        need: How bad it is for each part to lack a class.
        seed: Of the dealing.
    """
    generator = np.random.default_rng(seed)
    best, best_cost = np.zeros(membership.count, dtype=np.int64), np.inf
    for _ in range(_CANDIDATES):
        candidate = generator.choice(len(shares), size=membership.count, p=shares)
        cost = _cost(labels, membership.sides(candidate), shares, need)
        if cost < best_cost:
            best, best_cost = candidate, cost
    # Random dealing comes near; moving single groups, the largest first, comes nearer.
    for group in np.argsort(-np.bincount(membership.group), kind="stable")[:_POLISHED]:
        for part in np.flatnonzero(shares > 0):
            candidate = best.copy()
            candidate[group] = part
            cost = _cost(labels, membership.sides(candidate), shares, need)
            if cost < best_cost:
                best, best_cost = candidate, cost
    return best


def _cost(
    labels: IntArray,
    side: IntArray,
    shares: npt.NDArray[np.float64],
    need: npt.NDArray[np.float64],
) -> float:
    """How far a split is from what was asked: 0 is exact."""
    cost = _DROP_COST * float((side < 0).mean())
    for label in (REAL, FAKE):
        counts = np.bincount(side[labels == label] + 1, minlength=len(shares) + 1)[1:]
        cost += float(np.abs(counts / (labels == label).sum() - shares).sum())
        cost += float(np.dot(need, (counts == 0) & (shares > 0)))
    return cost
