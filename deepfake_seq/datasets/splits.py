"""Splits in which no identity and no source video stands on two sides.

Pure functions of labels and groups: no video and no file is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets.group_assignment import IntArray, Membership, best_assignment
from deepfake_seq.datasets.items import FAKE, REAL
from deepfake_seq.errors import DatasetError

SPLITS = ("train", "validation", "test")

_NEED = np.array([10.0, 10.0, 1.0])
"""How bad it is for a part to lack a class; the test part is the least needed of the three."""

Flags = npt.NDArray[np.bool_]
_BOTH = frozenset((REAL, FAKE))


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

    def by_name(self) -> dict[str, IntArray]:
        """The three parts by name."""
        return {name: getattr(self, name) for name in SPLITS}


def split_by_group(
    labels: Sequence[int],
    groups: Sequence[tuple[str, ...]],
    *,
    validation: float,
    test: float,
    seed: int,
    pseudo_fakes: Sequence[bool] = (),
) -> Split:
    """Split clips so that the parts share no group and hold both classes in like shares.

    Groups, not clips, are dealt out. Of many seeded ways to deal them, the one is taken that comes
    nearest to the asked share of each class in each part and drops the fewest clips. Clips that tie
    groups together (a face of one person on the video of another) keep them in one part as long as
    that leaves enough to deal out; otherwise the clips that straddle are dropped.

    Where the clips do not suffice for both classes in training and in validation, fakes that are
    made from real clips may stand in for those that training lacks; validation then has what fakes
    there are, or none. Where they do suffice, pseudo-fakes change nothing.

    Args:
        labels: 1 = fake, 0 = real, one for each clip.
        groups: The groups of each clip; a clip without one is a group of its own.
        validation: The share of clips wanted for validation.
        test: The share of clips wanted for testing; may be 0.
        seed: Of the dealing; the same seed gives the same split.
        pseudo_fakes: Of each clip, whether who trains on it trains on a fake that is made from it;
            empty where there are no such fakes.

    Raises:
        DatasetError: There is a single class, or there are too few groups for both classes to stand
            in training and in validation.
    """
    label_array = np.asarray(labels, dtype=np.int64)
    shares = np.array([1.0 - validation - test, validation, test])
    none = np.zeros(len(label_array), dtype=np.bool_)
    made = np.asarray(pseudo_fakes, dtype=np.bool_) if len(pseudo_fakes) else none
    try:
        return _split(label_array, groups, shares, none, seed)
    except DatasetError:
        if not made.any():
            raise
    return _split(label_array, groups, shares, made, seed)


def _split(
    labels: IntArray,
    groups: Sequence[tuple[str, ...]],
    shares: npt.NDArray[np.float64],
    made: Flags,
    seed: int,
) -> Split:
    require_both_classes(labels, made)
    membership = Membership.to_deal_out(groups, 0.5, len(labels))
    if membership.count < 2:
        raise DatasetError(
            "all clips belong to one group, so nothing can be kept apart for validation: "
            "at least two groups are needed. Add clips of other people."
        )
    need = np.stack([_NEED, _NEED])
    if made.any():
        need[FAKE, SPLITS.index("train")] = 0.0
    side = membership.sides(best_assignment(labels, membership, shares, need, seed))
    train, validating, testing = (np.flatnonzero(side == part) for part in range(3))
    trained = classes_of(labels, train, made) >= _BOTH
    if not trained or not to_validate_by(made[train]) <= classes_of(labels, validating):
        raise DatasetError(
            "no split by group puts both classes into training and validation: "
            f"{membership.count} groups are too few, or one class sits in too few of them. "
            "Add clips of more people of the rarer class."
        )
    return Split(train, validating, testing, dropped=np.flatnonzero(side < 0))


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
    labels: Sequence[int],
    groups: Sequence[tuple[str, ...]],
    count: int,
    seed: int,
    *,
    pseudo_fakes: Sequence[bool] = (),
) -> list[Fold]:
    """Deal the groups into `count` folds that hold both classes in like shares.

    Where there is not one fake, folds of real clips will do if fakes are made from the rest.

    Args:
        labels: 1 = fake, 0 = real.
        groups: The groups of each clip; a clip without one is a group of its own.
        count: How many folds.
        seed: Of the dealing.
        pseudo_fakes: See `split_by_group`.

    Raises:
        DatasetError: There is a single class, or there are too few groups for both classes to stand
            in every fold.
    """
    label_array = np.asarray(labels, dtype=np.int64)
    made = np.zeros(len(label_array), dtype=np.bool_)
    if len(pseudo_fakes) and not (label_array == FAKE).any():
        made = np.asarray(pseudo_fakes, dtype=np.bool_)
    require_both_classes(label_array, made)
    membership = Membership.to_deal_out(groups, 1.0 / count, len(label_array))
    shares = np.full(count, 1.0 / count)
    need = np.full((2, count), 10.0)
    assignment = best_assignment(label_array, membership, shares, need, seed)
    side = membership.sides(assignment)
    folds = []
    for number in range(count):
        held_out = side == number
        apart = ~membership.touches(assignment == number)
        folds.append(
            Fold(*(np.flatnonzero(part) for part in (apart, held_out, ~apart & ~held_out)))
        )
    for fold in folds:
        whole = classes_of(label_array, fold.rest, made) >= _BOTH
        if not whole or not to_validate_by(made) <= classes_of(label_array, fold.held_out):
            raise DatasetError(
                f"{membership.count} groups cannot be dealt into {count} folds with both "
                "classes in each. Ask for fewer, or add clips of more people of the rarer "
                "class."
            )
    return folds


def require_both_classes(labels: IntArray, made: Flags) -> None:
    """Refuse clips of a single class, unless fakes are made from them.

    Args:
        labels: Of the clips.
        made: Of each, whether a fake is made from it.
    """
    fakes, reals = int((labels == FAKE).sum()), int((labels == REAL).sum())
    if not reals or not (fakes or made.any()):
        raise DatasetError(
            f"both classes are needed to tell them apart. Received: {reals} real and "
            f"{fakes} fake clips"
        )


def classes_of(labels: IntArray, positions: IntArray, made: Flags | None = None) -> set[int]:
    """The labels of the clips at `positions`, and of the fakes that are made from them."""
    found = set(labels[positions].tolist())
    if made is not None and made[positions].any():
        found.add(FAKE)
    return found


def to_validate_by(made: Flags) -> frozenset[int]:
    """The classes that validation cannot do without.

    Args:
        made: Of each training clip, whether a fake is made from it.
    """
    return frozenset((REAL,)) if made.any() else _BOTH
