"""Assign groups to splits so that each split gets the requested fraction of each class.

Pure functions of labels and groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets.items import FAKE, REAL

_RANDOM_CANDIDATES = 400
_MAX_MOVED_GROUPS = 200
_DROP_COST = 2.0

IntArray = npt.NDArray[np.int64]


def connected_components(groups: Sequence[tuple[str, ...]]) -> IntArray:
    """Return the connected component of each clip; clips that share a group are connected.

    Args:
        groups: Groups of each clip; a clip without groups is a separate component.

    Returns:
        int64 (N,); components are numbered from 0.
    """
    if not groups:
        return np.zeros(0, dtype=np.int64)
    components = GroupMembership.from_groups(groups).components()
    return np.unique(components, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True)
class GroupMembership:
    """Groups of each clip, as flat arrays sorted by clip.

    Attributes:
        group: int64 (P,); the group number in each pair of a clip and one of its groups.
        start: int64 (N,); position in `group` of each clip's first pair.
        count: Number of groups.
    """

    group: IntArray
    start: IntArray
    count: int

    @classmethod
    def from_groups(cls, groups: Sequence[tuple[str, ...]]) -> GroupMembership:
        """Number the groups as given; a clip without groups is a separate group."""
        numbers_by_key: dict[object, int] = {}
        numbers: list[int] = []
        start: list[int] = []
        for clip, clip_groups in enumerate(groups):
            start.append(len(numbers))
            for key in clip_groups or (("clip without a group", clip),):
                numbers.append(numbers_by_key.setdefault(key, len(numbers_by_key)))
        return cls(
            np.array(numbers, dtype=np.int64),
            np.array(start, dtype=np.int64),
            len(numbers_by_key),
        )

    @classmethod
    def merged(cls, groups: Sequence[tuple[str, ...]], max_fraction: float) -> GroupMembership:
        """Merge groups that have clips in common, so that no clip has to be dropped.

        If a merged group would contain more than `max_fraction` of all clips, keep the groups as
        they are.
        """
        separate = cls.from_groups(groups)
        merged = cls.from_groups([(str(component),) for component in separate.components()])
        return merged if merged.largest_size <= max_fraction * len(groups) else separate

    def components(self) -> IntArray:
        """Return the connected component of each clip, int64 (N,), as the number of a group."""
        parent = list(range(self.count))

        def root(group: int) -> int:
            while parent[group] != group:
                parent[group] = parent[parent[group]]
                group = parent[group]
            return group

        for clip_groups in np.split(self.group, self.start[1:]):
            for group in clip_groups[1:]:
                parent[root(int(group))] = root(int(clip_groups[0]))
        return np.array([root(int(group)) for group in self.group[self.start]], dtype=np.int64)

    @property
    def largest_size(self) -> int:
        """Number of clips in the largest group."""
        return int(np.bincount(self.group).max())

    def clip_splits(self, assignment: IntArray) -> IntArray:
        """Return the split of each clip; -1 if its groups are assigned to different splits.

        Args:
            assignment: int64 (count,); the split of each group.
        """
        splits = assignment[self.group]
        low = np.minimum.reduceat(splits, self.start)
        return np.where(low == np.maximum.reduceat(splits, self.start), low, -1)

    def has_any(self, selected: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return bool (N,): whether each clip has at least one of the selected groups.

        Args:
            selected: bool (count,); True for each selected group.
        """
        return np.maximum.reduceat(selected[self.group], self.start)


def best_assignment(
    labels: IntArray,
    membership: GroupMembership,
    fractions: npt.NDArray[np.float64],
    missing_class_cost: npt.NDArray[np.float64],
    seed: int,
) -> IntArray:
    """Return the split (0, 1 …) of each group: the best of many random assignments, improved.

    Args:
        labels: Label of each clip, int64 (N,).
        membership: Groups of each clip.
        fractions: Fraction of the clips requested for each split, float64 (splits,).
        missing_class_cost: float64 (2, splits); cost if a split has no clip of a label.
        seed: Seed of the random assignments.
    """
    generator = np.random.default_rng(seed)
    best, best_cost = np.zeros(membership.count, dtype=np.int64), np.inf
    for _ in range(_RANDOM_CANDIDATES):
        candidate = generator.choice(len(fractions), size=membership.count, p=fractions)
        cost = _cost(labels, membership.clip_splits(candidate), fractions, missing_class_cost)
        if cost < best_cost:
            best, best_cost = candidate, cost
    # Moving single groups, the largest first, improves on the best random assignment.
    for group in np.argsort(-np.bincount(membership.group), kind="stable")[:_MAX_MOVED_GROUPS]:
        for split in np.flatnonzero(fractions > 0):
            candidate = best.copy()
            candidate[group] = split
            cost = _cost(labels, membership.clip_splits(candidate), fractions, missing_class_cost)
            if cost < best_cost:
                best, best_cost = candidate, cost
    return best


def _cost(
    labels: IntArray,
    clip_splits: IntArray,
    fractions: npt.NDArray[np.float64],
    missing_class_cost: npt.NDArray[np.float64],
) -> float:
    """Return how far an assignment is from the request; 0 is an exact match."""
    cost = _DROP_COST * float((clip_splits < 0).mean())
    for label in (REAL, FAKE):
        total = int((labels == label).sum())
        if not total:
            continue
        counts = np.bincount(clip_splits[labels == label] + 1, minlength=len(fractions) + 1)[1:]
        cost += float(np.abs(counts / total - fractions).sum())
        cost += float(np.dot(missing_class_cost[label], (counts == 0) & (fractions > 0)))
    return cost
