"""Which clips a model is trained on, which it is judged on, and that they are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deepfake_seq.config import SplitConfig
from deepfake_seq.datasets import (
    Split,
    grouped_folds,
    official_split,
    shared_between_splits,
    split_by_group,
)
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.data.features import Rows
from deepfake_seq.sequence.splits.finetuned import inherited_split, is_bound, require_unbound

_NAMED = 5


@dataclass(frozen=True)
class DataSplit:
    """Clips dealt into parts, which share no video, and no identity but for those in `shared`.

    Attributes:
        split: Positions of the clips in each part.
        official: Whether the data set assigned the parts.
        duplicates: How many clips are the same file as another one, under another name.
        shared: Identities that an official split has in several parts, and those parts.
        inherited: What must be told of a split that was taken over from a fine-tuned CNN; empty
            where none was.
    """

    split: Split
    official: bool
    duplicates: int
    shared: dict[str, tuple[str, ...]]
    inherited: tuple[str, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """What a reader of the metrics must be told about the split."""
        warnings = [*self.inherited]
        if self.shared:
            both = sum("train" in parts and "test" in parts for parts in self.shared.values())
            whose = "split of the CNN's own run" if self.inherited else "official split"
            remedy = "" if self.inherited else " --split group keeps them apart."
            warnings.append(
                f"The {whose} shares {len(self.shared)} identities between its parts, "
                f"{both} of them between training and test ({_names(self.shared)}): a model may "
                f"know the people it is tested on.{remedy}"
            )
        if self.duplicates:
            warnings.append(
                f"{self.duplicates} clips are duplicates of another file under a different name; "
                "each set of duplicates was kept in one split."
            )
        return warnings


def split_data(
    data: SequenceData, config: SplitConfig, pseudo_fakes: Sequence[bool] | None = None
) -> DataSplit:
    """Deal the clips into training, validation and test.

    Clips that are the same file count as one group. An official split of a published data set is
    taken as it is, and what it shares is told; a split that somebody wrote into a CSV file must not
    share an identity, unless that is allowed. Where a fine-tuned CNN made the features, and knows
    clips from its training, its own split is taken over.

    Args:
        data: The clips.
        config: What is wanted.
        pseudo_fakes: Of each clip, whether who trains on it trains on a fake that is made from it;
            by default those that have such a view. They may stand in for fakes in training.

    Raises:
        DatasetError: The clips cannot be dealt out, or two parts share what they must not.
    """
    made = data.pseudo_fakes if pseudo_fakes is None else pseudo_fakes
    if config.strategy != "group" and is_bound(data.clips):
        taken = inherited_split(data, config, made)
        in_common = require_disjoint(data, taken.split.by_name(), shared_allowed=True)
        return DataSplit(taken.split, False, _count_duplicates(data), in_common, taken.warnings)
    require_unbound(data.clips)
    labels = data.labels.tolist()
    groups = data.groups_with_duplicates
    assigned = [clip.part for clip in data.clips]
    published = all(clip.dataset for clip in data.clips)
    official = config.strategy == "official" or (config.strategy == "auto" and any(assigned))
    if official:
        if not any(assigned):
            raise DatasetError(
                "no clip has a part assigned by its data set. Give the parts in the CSV file's "
                "split column and run `deepseq extract` again, or use --split group."
            )
        split = official_split(
            labels,
            groups,
            assigned,
            validation=config.validation,
            seed=config.seed,
            drop_unassigned=published,
            pseudo_fakes=made,
        )
    else:
        split = split_by_group(
            labels,
            groups,
            validation=config.validation,
            test=config.test,
            seed=config.seed,
            pseudo_fakes=made,
        )
    in_common = require_disjoint(
        data,
        split.by_name(),
        shared_allowed=official and (config.allow_shared or published),
    )
    return DataSplit(split, official, _count_duplicates(data), in_common)


def make_folds(data: SequenceData, count: int, seed: int) -> list[tuple[Rows, Rows]]:
    """`count` pairs of positions that share nothing; every clip is held out at most once.

    Raises:
        DatasetError: There are too few groups for that, or a fine-tuned CNN, which made the
            features, knows clips from its training.
    """
    require_unbound(data.clips)
    labels, groups = data.labels.tolist(), data.groups_with_duplicates
    pairs = []
    for fold in grouped_folds(labels, groups, count, seed, pseudo_fakes=data.pseudo_fakes):
        require_disjoint(data, {"rest": fold.rest, "held out": fold.held_out}, shared_allowed=False)
        pairs.append((fold.rest, fold.held_out))
    return pairs


def require_disjoint(
    data: SequenceData, parts: Mapping[str, Rows], *, shared_allowed: bool
) -> dict[str, tuple[str, ...]]:
    """Refuse parts that intersect, however they came about.

    Args:
        data: The clips.
        parts: Positions of the clips of each part.
        shared_allowed: Whether an identity may stand in two parts; a video never may.

    Returns:
        The identities that stand in several parts, and those parts.

    Raises:
        DatasetError: Two parts share a clip, a file under two names, or an identity.
    """
    by_name = shared_between_splits([(clip.video_id,) for clip in data.clips], parts)
    by_content = shared_between_splits(
        [(clip.sha256,) if clip.sha256 else () for clip in data.clips], parts
    )
    for digest, where in (by_name | by_content).items():
        names = [clip.video_id for clip in data.clips if digest in (clip.video_id, clip.sha256)]
        raise DatasetError(
            f"the split leaks: the same video stands in {' and in '.join(where)} "
            f"({' is '.join(names)}). Correct the split column, or use --split group."
        )
    by_group = shared_between_splits(data.groups, parts)
    if by_group and not shared_allowed:
        group, where = next(iter(by_group.items()))
        raise DatasetError(
            f"the split leaks: group {group} stands in {' and in '.join(where)}, and so do "
            f"{len(by_group) - 1} others. Correct the split column, use --split group, or accept "
            "it with --allow-shared."
        )
    return by_group


def _count_duplicates(data: SequenceData) -> int:
    """How many videos are the same file as another one; the people of one video are no twins."""
    keys = [clip.key for clip in data.clips]
    return len(keys) - len(set(keys))


def _names(values: Mapping[str, object]) -> str:
    names = sorted(values)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
