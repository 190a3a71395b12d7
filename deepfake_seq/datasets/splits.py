"""Split clips into training, validation and test sets that share no identity or source video.

Pure functions of labels and groups: they need no video and no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets.group_assignment import GroupMembership, IntArray, best_assignment
from deepfake_seq.datasets.items import FAKE, REAL
from deepfake_seq.errors import DatasetError

SPLITS = ("train", "validation", "test")

_MISSING_CLASS_COST = np.array([10.0, 10.0, 1.0])
"""Cost of a split without one of the classes; lowest for the test set, which needs both least."""

Flags = npt.NDArray[np.bool_]
_BOTH = frozenset((REAL, FAKE))


@dataclass(frozen=True)
class Split:
    """Positions of the clips in each split, in increasing order.

    Attributes:
        train: Clips to train on.
        validation: Clips for choosing the epoch and threshold, and for fitting the calibration.
        test: Clips to evaluate on once, at the end.
        dropped: Clips in no split because their groups are in different splits.
    """

    train: IntArray
    validation: IntArray
    test: IntArray
    dropped: IntArray

    def by_name(self) -> dict[str, IntArray]:
        """Return the positions in the three splits by name."""
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
    """Split clips so that no two splits share a group and each has the same class balance.

    Groups, not clips, are assigned. Of many seeded assignments, the result is the one that comes
    closest to the requested fraction of each class in each split and drops the fewest clips. Groups
    that have clips in common (a face of one person on the video of another) stay together, unless
    they would then contain more than half of all clips; in that case, clips whose groups end up in
    different splits are dropped.

    If there are too few fakes for both training and validation, fakes made from real clips
    (`pseudo_fakes`) may replace the fakes missing from training; validation then gets the
    existing fakes, if any. Otherwise, `pseudo_fakes` has no effect.

    Args:
        labels: Label of each clip; 1 = fake, 0 = real.
        groups: Groups of each clip; a clip without groups is a separate group.
        validation: Fraction of clips for validation.
        test: Fraction of clips for testing; may be 0.
        seed: Seed of the assignment; the same seed gives the same split.
        pseudo_fakes: For each clip, whether training adds a fake made from it; empty if there are
            no such fakes.

    Raises:
        DatasetError: All clips have the same label, or there are too few groups to put both classes
            into training and validation.
    """
    label_array = np.asarray(labels, dtype=np.int64)
    fractions = np.array([1.0 - validation - test, validation, test])
    none = np.zeros(len(label_array), dtype=np.bool_)
    has_pseudo_fake = np.asarray(pseudo_fakes, dtype=np.bool_) if len(pseudo_fakes) else none
    try:
        return _split(label_array, groups, fractions, none, seed)
    except DatasetError:
        if not has_pseudo_fake.any():
            raise
    return _split(label_array, groups, fractions, has_pseudo_fake, seed)


def _split(
    labels: IntArray,
    groups: Sequence[tuple[str, ...]],
    fractions: npt.NDArray[np.float64],
    has_pseudo_fake: Flags,
    seed: int,
) -> Split:
    require_both_classes(labels, has_pseudo_fake)
    membership = GroupMembership.merged(groups, max_fraction=0.5)
    if membership.count < 2:
        raise DatasetError(
            "all clips belong to one group, so none can be held out for validation: at least two "
            "groups are needed. Add clips of other people."
        )
    missing_class_cost = np.stack([_MISSING_CLASS_COST, _MISSING_CLASS_COST])
    if has_pseudo_fake.any():
        missing_class_cost[FAKE, SPLITS.index("train")] = 0.0
    assignment = best_assignment(labels, membership, fractions, missing_class_cost, seed)
    clip_splits = membership.clip_splits(assignment)
    train, validation, test = (np.flatnonzero(clip_splits == split) for split in range(3))
    has_both = classes_at(labels, train, has_pseudo_fake) >= _BOTH
    required = required_validation_classes(has_pseudo_fake[train])
    if not has_both or not required <= classes_at(labels, validation):
        raise DatasetError(
            "no split by group puts both classes into training and validation: "
            f"{membership.count} groups are too few, or one class is in too few of them. "
            "Add clips of more people of the rarer class."
        )
    return Split(train, validation, test, dropped=np.flatnonzero(clip_splits < 0))


@dataclass(frozen=True)
class Fold:
    """One fold of a grouped cross-validation: positions of clips in increasing order.

    Attributes:
        rest: Clips that share no group with `held_out`.
        held_out: Clips whose groups are all in this fold.
        dropped: Clips with groups both in this fold and in another.
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
    """Split clips by group into `count` folds with the same class balance.

    If there are no fakes at all, folds of real clips are accepted as long as training adds fakes
    made from the other clips.

    Args:
        labels: Label of each clip; 1 = fake, 0 = real.
        groups: Groups of each clip; a clip without groups is a separate group.
        count: Number of folds.
        seed: Seed of the assignment of groups to folds.
        pseudo_fakes: See `split_by_group`.

    Raises:
        DatasetError: All clips have the same label, or there are too few groups to put both classes
            into every fold.
    """
    label_array = np.asarray(labels, dtype=np.int64)
    has_pseudo_fake = np.zeros(len(label_array), dtype=np.bool_)
    if len(pseudo_fakes) and not (label_array == FAKE).any():
        has_pseudo_fake = np.asarray(pseudo_fakes, dtype=np.bool_)
    require_both_classes(label_array, has_pseudo_fake)
    membership = GroupMembership.merged(groups, max_fraction=1.0 / count)
    fractions = np.full(count, 1.0 / count)
    missing_class_cost = np.full((2, count), 10.0)
    assignment = best_assignment(label_array, membership, fractions, missing_class_cost, seed)
    clip_folds = membership.clip_splits(assignment)
    folds = []
    for number in range(count):
        held_out = clip_folds == number
        rest = ~membership.has_any(assignment == number)
        folds.append(Fold(*(np.flatnonzero(mask) for mask in (rest, held_out, ~rest & ~held_out))))
    required = required_validation_classes(has_pseudo_fake)
    for fold in folds:
        has_both = classes_at(label_array, fold.rest, has_pseudo_fake) >= _BOTH
        if not has_both or not required <= classes_at(label_array, fold.held_out):
            raise DatasetError(
                f"{membership.count} groups cannot be split into {count} folds with both classes "
                "in each. Use fewer folds, or add clips of more people of the rarer class."
            )
    return folds


def require_both_classes(labels: IntArray, has_pseudo_fake: Flags) -> None:
    """Raise unless there are real clips, and fake clips or fakes made from real ones.

    Args:
        labels: Label of each clip.
        has_pseudo_fake: For each clip, whether training adds a fake made from it.

    Raises:
        DatasetError: A class is missing.
    """
    fakes, reals = int((labels == FAKE).sum()), int((labels == REAL).sum())
    if not reals or not (fakes or has_pseudo_fake.any()):
        raise DatasetError(
            "training needs both real and fake clips. Add clips of the missing class. "
            f"Received: {reals} real and {fakes} fake clips"
        )


def classes_at(
    labels: IntArray, positions: IntArray, has_pseudo_fake: Flags | None = None
) -> set[int]:
    """Return the labels of the clips at `positions`, and of the fakes made from them."""
    classes = set(labels[positions].tolist())
    if has_pseudo_fake is not None and has_pseudo_fake[positions].any():
        classes.add(FAKE)
    return classes


def required_validation_classes(has_pseudo_fake: Flags) -> frozenset[int]:
    """Return the classes that validation must contain.

    Args:
        has_pseudo_fake: For each training clip, whether training adds a fake made from it.
    """
    return frozenset((REAL,)) if has_pseudo_fake.any() else _BOTH
