"""Splits that a data set assigns itself, and what they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deepfake_seq.datasets.group_assignment import IntArray
from deepfake_seq.datasets.items import FAKE, REAL
from deepfake_seq.datasets.splits import (
    SPLITS,
    Split,
    classes_of,
    split_by_group,
    to_validate_by,
)
from deepfake_seq.errors import DatasetError

REMEDY = "Correct the split column, or have the groups dealt out anew with --split group."


def official_split(
    labels: Sequence[int],
    groups: Sequence[tuple[str, ...]],
    parts: Sequence[str],
    *,
    validation: float,
    seed: int,
    drop_unassigned: bool = False,
    pseudo_fakes: Sequence[bool] = (),
    remedy: str = REMEDY,
) -> Split:
    """The split that the data set itself assigns.

    Many data sets name only their test clips. Clips without a part then make up training and
    validation, of which validation is dealt out by group; so it is where training is named and
    validation is not.

    Args:
        labels: 1 = fake, 0 = real.
        groups: The groups of each clip.
        parts: `train`, `validation`, `test` or "", one for each clip.
        validation: The share of the clips that are not for testing wanted for validation, where the
            data set does not say.
        seed: Of that.
        drop_unassigned: Whether to drop clips without a part where others are for training, as
            those of FaceForensics++ that its split files do not name.
        pseudo_fakes: See `split_by_group`: they stand in for fakes that training lacks, and then
            validation may lack them too.
        remedy: What to do about parts that lack a class.

    Raises:
        DatasetError: Some clips have a part and others lack one in a way that is not the above; or
            training or validation lacks a class.
    """
    label_array, part_array = np.asarray(labels), np.asarray(parts)
    none = np.zeros(len(label_array), dtype=np.bool_)
    made = np.asarray(pseudo_fakes, dtype=np.bool_) if len(pseudo_fakes) else none
    train, validating, test, free = (np.flatnonzero(part_array == name) for name in (*SPLITS, ""))
    dropped = np.zeros(0, dtype=np.int64)
    if len(free) and (len(train) or len(validating)):
        dropped, free = free, dropped
    if len(dropped) and not drop_unassigned:
        raise DatasetError(
            f"{len(dropped)} of {len(labels)} clips have no part of the split while others have "
            "one. Give every clip one, name the test clips only, or use --split group."
        )
    if not len(validating):
        pool = free if len(free) else train
        rest = split_by_group(
            label_array[pool].tolist(),
            [groups[position] for position in pool.tolist()],
            validation=validation,
            test=0.0,
            seed=seed,
            pseudo_fakes=made[pool].tolist(),
        )
        train, validating = pool[rest.train], pool[rest.validation]
        dropped = np.sort(np.concatenate([dropped, pool[rest.dropped]]))
    if not {REAL, FAKE} <= classes_of(label_array, train, made):
        raise DatasetError(f"the given split has no train part with both classes. {remedy}")
    if not to_validate_by(made[train]) <= classes_of(label_array, validating):
        raise DatasetError(f"the given split has no validation part with both classes. {remedy}")
    return Split(train, validating, test, dropped)


def add_duplicate_groups(
    groups: Sequence[tuple[str, ...]], sha256s: Sequence[str]
) -> list[tuple[str, ...]]:
    """The groups of each clip, with one more for clips that are the same file under two names.

    Args:
        groups: Of each clip.
        sha256s: Of each clip's file, in hex; "" where it is not known.
    """
    names: dict[str, int] = {}
    for digest in sha256s:
        names[digest] = names.get(digest, 0) + 1
    return [
        (*own, f"file {digest}") if digest and names[digest] > 1 else own
        for own, digest in zip(groups, sha256s, strict=True)
    ]


def shared_between_splits(
    values: Sequence[tuple[str, ...]], parts: Mapping[str, IntArray]
) -> dict[str, tuple[str, ...]]:
    """Each value that stands in more than one part, and those parts.

    Args:
        values: What each clip has: its groups, its id, its file's digest.
        parts: Positions of the clips in each part.
    """
    where: dict[str, dict[str, None]] = {}
    for part, positions in parts.items():
        for position in positions:
            for value in values[position]:
                where.setdefault(value, {})[part] = None
    return {value: tuple(found) for value, found in where.items() if len(found) > 1}
