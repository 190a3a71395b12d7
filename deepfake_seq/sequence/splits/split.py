"""Split clips into training, validation and test, and refuse splits that leak."""

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
from deepfake_seq.sequence.splits.finetuned import inherited_split
from deepfake_seq.sequence.splits.overlap import needs_cnn_split, require_free_split

_MAX_NAMES = 5


@dataclass(frozen=True)
class DataSplit:
    """A split that shares no video between its parts, and no identity except those in `shared`.

    Attributes:
        positions: Positions of the clips in training, validation and test.
        official: Whether the dataset assigned the split.
        duplicates: Number of clips that are duplicates of another one under a different name.
        shared: Identities that occur in several splits, with the names of these splits.
        inherited: Warnings about a split inherited from a finetuned CNN; empty for any other.
    """

    positions: Split
    official: bool
    duplicates: int
    shared: dict[str, tuple[str, ...]]
    inherited: tuple[str, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """Warnings about the split."""
        warnings = [*self.inherited]
        if self.shared:
            both = sum("train" in names and "test" in names for names in self.shared.values())
            title = "split of the CNN's run" if self.inherited else "official split"
            remedy = "" if self.inherited else " Use --split group to avoid this."
            warnings.append(
                f"The {title} shares {len(self.shared)} identities between its splits, "
                f"{both} of them between training and test ({_some_names(self.shared)}): the model "
                f"may recognise people that it is tested on.{remedy}"
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
    """Split the clips into training, validation and test.

    Duplicates of one file are kept together. The official split of a published dataset is used
    unchanged, with a warning about identities that it shares; a split from a CSV file must not
    share identities unless `config` allows it. If the CNN of the features was finetuned on some of
    the clips, the split of its run is used.

    Args:
        data: The clips.
        config: Strategy, fractions and seed.
        pseudo_fakes: Whether training on each clip includes a fake made from it; by default whether
            the clip has such a view. Pseudo-fakes may replace missing fakes in training.

    Raises:
        DatasetError: The clips cannot be split, or the split leaks.
    """
    pseudo_fakes = data.pseudo_fakes if pseudo_fakes is None else pseudo_fakes
    if config.strategy != "group" and needs_cnn_split(data.clips):
        inherited = inherited_split(data, config, pseudo_fakes)
        shared_groups = require_disjoint(data, inherited.split.by_name(), shared_allowed=True)
        return DataSplit(
            inherited.split, False, _count_duplicates(data), shared_groups, inherited.warnings
        )
    require_free_split(data.clips)
    labels = data.labels.tolist()
    groups = data.groups_with_duplicates
    assigned = [clip.split for clip in data.clips]
    published = all(clip.dataset for clip in data.clips)
    official = config.strategy == "official" or (config.strategy == "auto" and any(assigned))
    if official:
        if not any(assigned):
            raise DatasetError(
                "the dataset assigns no clip to a split. Fill in the CSV file's split column and "
                "run `deepseq extract` again, or use --split group."
            )
        split = official_split(
            labels,
            groups,
            assigned,
            validation=config.validation,
            seed=config.seed,
            drop_unassigned=published,
            pseudo_fakes=pseudo_fakes,
        )
    else:
        split = split_by_group(
            labels,
            groups,
            validation=config.validation,
            test=config.test,
            seed=config.seed,
            pseudo_fakes=pseudo_fakes,
        )
    shared_groups = require_disjoint(
        data,
        split.by_name(),
        shared_allowed=official and (config.allow_shared or published),
    )
    return DataSplit(split, official, _count_duplicates(data), shared_groups)


def make_folds(data: SequenceData, count: int, seed: int) -> list[tuple[Rows, Rows]]:
    """Split the clips into `count` folds that share no group.

    Returns:
        Positions of the remaining and of the held-out clips of each fold. Every clip is held out at
        most once.

    Raises:
        DatasetError: There are too few groups, or the clips need the split of the CNN's run.
    """
    require_free_split(data.clips)
    labels, groups = data.labels.tolist(), data.groups_with_duplicates
    pairs = []
    for fold in grouped_folds(labels, groups, count, seed, pseudo_fakes=data.pseudo_fakes):
        require_disjoint(data, {"rest": fold.rest, "held out": fold.held_out}, shared_allowed=False)
        pairs.append((fold.rest, fold.held_out))
    return pairs


def require_disjoint(
    data: SequenceData, splits: Mapping[str, Rows], *, shared_allowed: bool
) -> dict[str, tuple[str, ...]]:
    """Refuse splits that share a video or an identity.

    Args:
        data: The clips.
        splits: Positions of the clips in each split.
        shared_allowed: Whether an identity may occur in two splits; a video never may.

    Returns:
        Identities that occur in several splits, with the names of these splits.

    Raises:
        DatasetError: Two splits share a clip, a duplicate, or an identity that they must not share.
    """
    by_name = shared_between_splits([(clip.video_id,) for clip in data.clips], splits)
    by_content = shared_between_splits(
        [(clip.sha256,) if clip.sha256 else () for clip in data.clips], splits
    )
    for key, names in (by_name | by_content).items():
        video_ids = [clip.video_id for clip in data.clips if key in (clip.video_id, clip.sha256)]
        raise DatasetError(
            f"the split leaks: the same video appears in both {' and '.join(names)} "
            f"({' = '.join(video_ids)}). Correct the split column, or use --split group."
        )
    by_group = shared_between_splits(data.groups, splits)
    if by_group and not shared_allowed:
        group, names = next(iter(by_group.items()))
        raise DatasetError(
            f"the split leaks: group {group} appears in both {' and '.join(names)} (number of "
            f"such groups: {len(by_group)}). Correct the split column, use --split group, or "
            "accept it with --allow-shared."
        )
    return by_group


def _count_duplicates(data: SequenceData) -> int:
    """Count duplicate files; several people of one video are no duplicates."""
    keys = [clip.key for clip in data.clips]
    return len(keys) - len(set(keys))


def _some_names(values: Mapping[str, object]) -> str:
    names = sorted(values)
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return f"{', '.join(names[:_MAX_NAMES])}{more}"
