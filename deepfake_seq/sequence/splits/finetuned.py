"""Features of a CNN that was fine-tuned, and the clips that it must not be judged by.

Such a CNN has seen labels: whatever is made of its features looks too good on the clips that it was
trained on or picked by, and on others of the same people. So its own split goes before any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepfake_seq.config import SplitConfig
from deepfake_seq.datasets import Split, official_split
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data.clip import Clip
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.data.features import Rows

FACT = "cnn_part"
"""The fact that says how the CNN's own run knows a clip."""

BOUND = ("train", "validation", "related")
"""What may be trained and validated on, and never be tested on."""

_PARTS = {
    "train": "train",
    "related": "train",
    "validation": "validation",
    "test": "test",
    "unseen": "test",
}
_REMEDY = (
    "It is the split of the run that fine-tuned the CNN: add clips that this run does not know, or "
    "extract features with another CNN."
)


@dataclass(frozen=True)
class InheritedSplit:
    """The split of a fine-tuned CNN, taken over for clips of its features.

    Attributes:
        split: The parts.
        warnings: What a reader of the metrics must be told.
    """

    split: Split
    warnings: tuple[str, ...]


def parts_of(clips: Sequence[Clip]) -> list[str]:
    """How the CNN behind the features knows each clip; "" for all of any other CNN.

    Stores come from anybody: what is said of a clip and makes no sense counts as `related`, and so
    does nothing, beside clips of which something is said.
    """
    if not any(FACT in clip.facts for clip in clips):
        return [""] * len(clips)
    said = [clip.facts.get(FACT) for clip in clips]
    return [part if isinstance(part, str) and part in _PARTS else "related" for part in said]


def is_bound(clips: Sequence[Clip]) -> bool:
    """Whether some of the clips are known to a fine-tuned CNN from its training."""
    return any(part in BOUND for part in parts_of(clips))


def require_unbound(clips: Sequence[Clip]) -> None:
    """Refuse to deal clips out anew that a fine-tuned CNN knows.

    Raises:
        DatasetError: It does.
    """
    known = sum(part in BOUND for part in parts_of(clips))
    if known:
        raise DatasetError(
            f"the CNN of these features was fine-tuned on {known} of the clips, or on people in "
            "them: dealt out anew, they would be judged by what was trained on them. Leave out "
            "--split group, --folds and --members; then the CNN's own split is taken over."
        )


def inherited_split(
    data: SequenceData, config: SplitConfig, pseudo_fakes: Sequence[bool]
) -> InheritedSplit:
    """The split of the CNN's own run; what only resembles its clips must not cross it.

    Its training and validation clips stay what they are, and its test clips are tested on, whatever
    these parts share. Clips that are related to its training are trained on, unless somebody in
    them stands in another part; clips that it does not know are tested on, unless somebody in them
    is in training or validation. Validation is dealt out by group where the store has none of it.

    Args:
        data: Clips, some of them `BOUND`.
        config: What is wanted otherwise.
        pseudo_fakes: See `datasets.split_by_group`.

    Raises:
        DatasetError: That is no split to train by, or the data set's own split is asked for, and
            the CNN was trained on its test clips.
    """
    known = parts_of(data.clips)
    groups = data.groups_with_duplicates
    theirs = sum(
        part in BOUND and clip.part == "test" for part, clip in zip(known, data.clips, strict=True)
    )
    if theirs and config.strategy == "official":
        raise DatasetError(
            f"the CNN of these features was fine-tuned on {theirs} of the official split's test "
            "clips, or on people in them. Leave out --split official: then the CNN's own split is "
            "taken over."
        )
    kept = _apart(known, groups)
    own = official_split(
        data.labels[kept].tolist(),
        [groups[at] for at in kept.tolist()],
        [_PARTS[known[at]] for at in kept.tolist()],
        validation=config.validation,
        seed=config.seed,
        pseudo_fakes=np.asarray(pseudo_fakes, dtype=np.bool_)[kept].tolist(),
        remedy=_REMEDY,
    )
    straddling = np.setdiff1d(np.arange(len(data)), kept)
    split = Split(
        kept[own.train],
        kept[own.validation],
        kept[own.test],
        np.sort(np.concatenate([kept[own.dropped], straddling])),
    )
    tuned_on = sum(part in ("train", "validation") for part in known)
    warnings = [
        f"The features come from a CNN that was fine-tuned on {tuned_on} of these clips: its own "
        "split was taken over, so that no clip is tested on that it was trained on."
    ]
    if len(straddling):
        warnings.append(
            f"{len(straddling)} clips were dropped: somebody in them, or their source, stands in "
            "another part of the CNN's split."
        )
    if theirs:
        warnings.append(
            f"{theirs} clips that the data set has for testing are not tested on: the CNN was "
            "fine-tuned on them, or on people in them."
        )
    return InheritedSplit(split, tuple(warnings))


def _apart(known: Sequence[str], groups: Sequence[tuple[str, ...]]) -> Rows:
    """Positions of the clips to use: the CNN's own, and others that cross no part of its split."""

    def inside(*parts: str) -> set[str]:
        return {
            name for part, own in zip(known, groups, strict=True) if part in parts for name in own
        }

    tuned_on = inside("train", "validation")
    strange = [
        part == "unseen" and not tuned_on.intersection(own)
        for part, own in zip(known, groups, strict=True)
    ]
    elsewhere = inside("validation", "test").union(
        *(own for own, stays in zip(groups, strange, strict=True) if stays)
    )
    kept = [
        part in ("train", "validation", "test")
        or strange[at]
        or (part == "related" and not elsewhere.intersection(groups[at]))
        for at, part in enumerate(known)
    ]
    return np.flatnonzero(kept).astype(np.int64)
