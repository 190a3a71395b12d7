"""Splits assigned by the data set itself, and what their clips have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deepfake_seq.datasets.group_assignment import IntArray
from deepfake_seq.datasets.items import FAKE, REAL
from deepfake_seq.datasets.splits import (
    SPLITS,
    Split,
    classes_at,
    required_validation_classes,
    split_by_group,
)
from deepfake_seq.errors import DatasetError

REMEDY = "Correct the split column, or split by group with --split group."


def official_split(
    labels: Sequence[int],
    groups: Sequence[tuple[str, ...]],
    splits: Sequence[str],
    *,
    validation: float,
    seed: int,
    drop_unassigned: bool = False,
    pseudo_fakes: Sequence[bool] = (),
    remedy: str = REMEDY,
) -> Split:
    """Return the split that the data set assigns, completed by a validation set if it has none.

    Many data sets name only their test clips. The clips without a split are then divided by group
    into training and validation. If training is named and validation is not, the training clips
    are divided in the same way.

    Args:
        labels: Label of each clip; 1 = fake, 0 = real.
        groups: Groups of each clip.
        splits: Split of each clip: `train`, `validation`, `test`, or "" if it has none.
        validation: Fraction of the divided clips used for validation if the data set assigns no
            clips to it.
        seed: Seed of that division.
        drop_unassigned: Whether to drop clips without a split if others are assigned to training
            or validation, such as FaceForensics++ clips missing from its split files.
        pseudo_fakes: See `split_by_group`; they replace fakes missing from training, and
            validation may then lack fakes, too.
        remedy: Advice at the end of the error message if a split lacks a class.

    Raises:
        DatasetError: Some clips have no split although others are assigned to training or
            validation, or training or validation lacks a class.
    """
    label_array, split_array = np.asarray(labels), np.asarray(splits)
    none = np.zeros(len(label_array), dtype=np.bool_)
    has_pseudo_fake = np.asarray(pseudo_fakes, dtype=np.bool_) if len(pseudo_fakes) else none
    train, validating, test, unassigned = (
        np.flatnonzero(split_array == name) for name in (*SPLITS, "")
    )
    dropped = np.zeros(0, dtype=np.int64)
    if len(unassigned) and (len(train) or len(validating)):
        dropped, unassigned = unassigned, dropped
    if len(dropped) and not drop_unassigned:
        raise DatasetError(
            f"{len(dropped)} of {len(labels)} clips have no split while others have one. Give "
            "every clip a split, name only the test clips, or use --split group."
        )
    if not len(validating):
        pool = unassigned if len(unassigned) else train
        division = split_by_group(
            label_array[pool].tolist(),
            [groups[position] for position in pool.tolist()],
            validation=validation,
            test=0.0,
            seed=seed,
            pseudo_fakes=has_pseudo_fake[pool].tolist(),
        )
        train, validating = pool[division.train], pool[division.validation]
        dropped = np.sort(np.concatenate([dropped, pool[division.dropped]]))
    if not {REAL, FAKE} <= classes_at(label_array, train, has_pseudo_fake):
        raise DatasetError(f"the training set of the given split lacks a class. {remedy}")
    required = required_validation_classes(has_pseudo_fake[train])
    if not required <= classes_at(label_array, validating):
        raise DatasetError(f"the validation set of the given split lacks a class. {remedy}")
    return Split(train, validating, test, dropped)


def add_duplicate_groups(
    groups: Sequence[tuple[str, ...]], sha256s: Sequence[str]
) -> list[tuple[str, ...]]:
    """Return the groups of each clip, plus one shared by all copies of the same file.

    Args:
        groups: Groups of each clip.
        sha256s: SHA-256 of each clip's file, in hex; "" if unknown.
    """
    counts: dict[str, int] = {}
    for digest in sha256s:
        counts[digest] = counts.get(digest, 0) + 1
    return [
        (*clip_groups, f"file {digest}") if digest and counts[digest] > 1 else clip_groups
        for clip_groups, digest in zip(groups, sha256s, strict=True)
    ]


def shared_between_splits(
    values: Sequence[tuple[str, ...]], splits: Mapping[str, IntArray]
) -> dict[str, tuple[str, ...]]:
    """Return each value that occurs in more than one split, and the names of those splits.

    Args:
        values: Values of each clip, such as its groups, its id or the SHA-256 of its file.
        splits: Positions of the clips in each split, by name.
    """
    names_by_value: dict[str, dict[str, None]] = {}
    for name, positions in splits.items():
        for position in positions:
            for value in values[position]:
                names_by_value.setdefault(value, {})[name] = None
    return {value: tuple(names) for value, names in names_by_value.items() if len(names) > 1}
