from __future__ import annotations

import numpy as np
import pytest

from deepfake_seq.datasets import add_duplicate_groups, official_split, shared_between_splits
from deepfake_seq.errors import DatasetError

HOW = {"validation": 0.25, "seed": 0}


def test_a_complete_official_split_is_used_unchanged() -> None:
    splits = ["train", "train", "validation", "validation", "test"]
    split = official_split([0, 1, 0, 1, 1], [()] * 5, splits, **HOW)
    assert [positions.tolist() for positions in split.by_name().values()] == [[0, 1], [2, 3], [4]]
    assert not len(split.dropped)


@pytest.mark.parametrize("rest", ["", "train"])
def test_a_missing_validation_set_is_split_off_by_group(rest: str) -> None:
    labels = [0, 1] * 20
    groups = [(f"p{number // 4}",) for number in range(40)]
    splits = ["test" if number < 8 else rest for number in range(40)]
    split = official_split(labels, groups, splits, **HOW)
    assert split.test.tolist() == list(range(8))
    assert len(split.validation) == 8 and len(split.train) == 24
    train, validation = (
        {groups[clip] for clip in clips} for clips in (split.train, split.validation)
    )
    assert not train & validation


def test_unassigned_clips_are_refused_or_dropped() -> None:
    labels, splits = [0, 1, 0, 1, 0], ["train", "train", "validation", "validation", ""]
    with pytest.raises(DatasetError, match="1 of 5 clips have no split"):
        official_split(labels, [()] * 5, splits, **HOW)
    split = official_split(labels, [()] * 5, splits, **HOW, drop_unassigned=True)
    assert split.dropped.tolist() == [4]


@pytest.mark.parametrize("lacking", ["train", "validation"])
def test_a_split_with_a_single_class_is_refused(lacking: str) -> None:
    splits = ["train", "train", "validation", "validation"]
    labels = [0, 1, 0, 1]
    labels[splits.index(lacking)] = 1
    with pytest.raises(DatasetError, match=rf"the {lacking}\w* set .* lacks a class"):
        official_split(labels, [()] * 4, splits, **HOW)


def test_pseudo_fakes_stand_in_for_fakes_missing_from_training() -> None:
    splits = ["train", "train", "validation", "validation", "test"]
    with pytest.raises(DatasetError, match="training set of the given split lacks a class"):
        official_split([0] * 4 + [1], [()] * 5, splits, **HOW)
    pseudo_fakes = [True, False, False, False, False]
    split = official_split([0] * 4 + [1], [()] * 5, splits, **HOW, pseudo_fakes=pseudo_fakes)
    assert [positions.tolist() for positions in split.by_name().values()] == [[0, 1], [2, 3], [4]]
    with pytest.raises(DatasetError, match="validation set of the given split lacks a class"):
        official_split([0, 1, 0, 0, 1], [()] * 5, splits, **HOW, pseudo_fakes=[False] * 4 + [True])
    with pytest.raises(DatasetError, match="validation set of the given split lacks a class"):
        official_split([0, 0, 1, 1, 1], [()] * 5, splits, **HOW, pseudo_fakes=pseudo_fakes)


def test_validation_may_have_only_real_clips_if_training_adds_pseudo_fakes() -> None:
    splits = ["test" if number < 8 else "" for number in range(40)]
    groups = [(f"p{number // 4}",) for number in range(40)]
    split = official_split([0] * 40, groups, splits, **HOW, pseudo_fakes=[True] * 40)
    assert split.test.tolist() == list(range(8)) and len(split.validation) == 8


def test_copies_of_the_same_file_share_a_group() -> None:
    groups = add_duplicate_groups([("ann",), (), ("bob",), ()], ["aa", "aa", "bb", ""])
    assert set(groups[0]) & set(groups[1])
    assert "ann" in groups[0]
    assert groups[2:] == [("bob",), ()]


def test_files_with_unknown_digests_are_not_duplicates() -> None:
    assert add_duplicate_groups([(), ()], ["", ""]) == [(), ()]


def test_shared_values_are_returned_with_their_splits() -> None:
    values = [("ann",), ("ann", "bob"), ("bob",), ("cid",)]
    splits = {"train": np.array([0]), "test": np.array([1, 2]), "validation": np.array([3])}
    assert shared_between_splits(values, splits) == {"ann": ("train", "test")}
