"""Reuse the split of the run that finetuned the CNN of the features.

Such a CNN has seen labels: any model on its features looks too good on clips that the CNN was
trained or selected on, and on other clips of the same people. Its own split therefore takes
precedence over any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepfake_seq.config import SplitConfig
from deepfake_seq.datasets import Split, official_split
from deepfake_seq.datasets.finetune_overlap import NEVER_TESTED, TRAINED_ON
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.data.features import Rows
from deepfake_seq.sequence.splits.overlap import cnn_overlaps

_SPLIT_OF_OVERLAP = {
    "train": "train",
    "related": "train",
    "validation": "validation",
    "test": "test",
    "unseen": "test",
}
_REMEDY = (
    "This is the split of the run that finetuned the CNN: add clips that are not in this run, or "
    "extract features with another CNN."
)


@dataclass(frozen=True)
class InheritedSplit:
    """The split of a finetuned CNN's run, applied to clips whose features come from that CNN.

    Attributes:
        split: Positions of the clips in each split.
        warnings: Warnings about the metrics.
    """

    split: Split
    warnings: tuple[str, ...]


def inherited_split(
    data: SequenceData, config: SplitConfig, pseudo_fakes: Sequence[bool]
) -> InheritedSplit:
    """Split clips like the run that finetuned the CNN.

    Clips of that run keep their split, even if the splits of the run share groups. Related clips
    become training clips, unless they share a group with another split. Unseen clips become test
    clips, unless they share a group with training or validation. If the store has no validation
    clip of the run, validation is split off by group.

    Args:
        data: Clips, some of which overlap with the CNN's training.
        config: Fraction of validation clips, and seed of the split.
        pseudo_fakes: See `datasets.split_by_group`.

    Raises:
        DatasetError: A split lacks a class; or the official split is requested and the CNN was
            trained on some of its test clips.
    """
    overlaps = cnn_overlaps(data.clips)
    groups = data.groups_with_duplicates
    trained_test_clips = sum(
        overlap in NEVER_TESTED and clip.split == "test"
        for overlap, clip in zip(overlaps, data.clips, strict=True)
    )
    if trained_test_clips and config.strategy == "official":
        raise DatasetError(
            f"the CNN of these features was finetuned on {trained_test_clips} of the official "
            "split's test clips, or on people in them. Leave out --split official; the split of "
            "the CNN's run is then used."
        )
    kept = _without_straddling(overlaps, groups)
    split = official_split(
        data.labels[kept].tolist(),
        [groups[position] for position in kept.tolist()],
        [_SPLIT_OF_OVERLAP[overlaps[position]] for position in kept.tolist()],
        validation=config.validation,
        seed=config.seed,
        pseudo_fakes=np.asarray(pseudo_fakes, dtype=np.bool_)[kept].tolist(),
        remedy=_REMEDY,
    )
    straddling = np.setdiff1d(np.arange(len(data)), kept)
    finetuned_on = sum(overlap in TRAINED_ON for overlap in overlaps)
    warnings = [
        f"The CNN of these features was finetuned on {finetuned_on} of these clips: the split of "
        "its run is used, so that no clip of its training is tested on."
    ]
    if len(straddling):
        warnings.append(
            f"{len(straddling)} clips were dropped: they share a person or a source with another "
            "split of the CNN's run."
        )
    if trained_test_clips:
        warnings.append(
            f"{trained_test_clips} test clips of the dataset's official split are not tested on: "
            "the CNN was finetuned on them, or on people in them."
        )
    return InheritedSplit(
        Split(
            kept[split.train],
            kept[split.validation],
            kept[split.test],
            np.sort(np.concatenate([kept[split.dropped], straddling])),
        ),
        tuple(warnings),
    )


def _without_straddling(overlaps: Sequence[str], groups: Sequence[tuple[str, ...]]) -> Rows:
    """Return positions of all clips except related and unseen ones that share a wrong group."""
    pairs = list(zip(overlaps, groups, strict=True))

    def groups_in(*names: str) -> set[str]:
        return {
            group for overlap, clip_groups in pairs if overlap in names for group in clip_groups
        }

    training_groups = groups_in(*TRAINED_ON)
    kept_unseen = [
        overlap == "unseen" and training_groups.isdisjoint(clip_groups)
        for overlap, clip_groups in pairs
    ]
    other_groups = groups_in("validation", "test").union(
        *(clip_groups for (_, clip_groups), kept in zip(pairs, kept_unseen, strict=True) if kept)
    )
    kept = [
        overlap in (*TRAINED_ON, "test")
        or unseen
        or (overlap == "related" and other_groups.isdisjoint(clip_groups))
        for (overlap, clip_groups), unseen in zip(pairs, kept_unseen, strict=True)
    ]
    return np.flatnonzero(kept).astype(np.int64)
