"""Dealing groups out, so that every part gets the share of each class that it should have.

Pure functions of labels and groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets.items import FAKE, REAL

_CANDIDATES = 400
_POLISHED = 200
_DROP_COST = 2.0

IntArray = npt.NDArray[np.int64]


def connected_components(groups: Sequence[tuple[str, ...]]) -> IntArray:
    """The unit of each clip, (N,), numbered from 0: clips that groups tie together are one.

    Args:
        groups: The groups of each clip; one without any is a unit of its own.
    """
    if not groups:
        return np.zeros(0, dtype=np.int64)
    return np.unique(Membership.of(groups).tied(), return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True)
class Membership:
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
    def of(cls, groups: Sequence[tuple[str, ...]]) -> Membership:
        """With the groups as they are; a clip without one is a group of its own."""
        names: dict[object, int] = {}
        numbers: list[int] = []
        start: list[int] = []
        for clip, clip_groups in enumerate(groups):
            start.append(len(numbers))
            for key in clip_groups or (("clip without a group", clip),):
                numbers.append(names.setdefault(key, len(names)))
        return cls(np.array(numbers, dtype=np.int64), np.array(start, dtype=np.int64), len(names))

    @classmethod
    def to_deal_out(cls, groups: Sequence[tuple[str, ...]], most: float, clips: int) -> Membership:
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


def best_assignment(
    labels: IntArray,
    membership: Membership,
    shares: npt.NDArray[np.float64],
    need: npt.NDArray[np.float64],
    seed: int,
) -> IntArray:
    """The part (0, 1 …) of each group.

    Args:
        labels: Of the clips.
        membership: Their groups.
        shares: The share of clips wanted in each part.
        need: (2, parts); how bad it is for each part to lack the class of a label.
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
        total = int((labels == label).sum())
        if not total:
            continue
        counts = np.bincount(side[labels == label] + 1, minlength=len(shares) + 1)[1:]
        cost += float(np.abs(counts / total - shares).sum())
        cost += float(np.dot(need[label], (counts == 0) & (shares > 0)))
    return cost
