from __future__ import annotations

import numpy as np
import pytest

from deepfake_seq.datasets import add_duplicate_groups, official_split, shared_between_splits
from deepfake_seq.errors import DatasetError

HOW = {"validation": 0.25, "seed": 0}


def test_parts_that_are_all_named_are_taken_as_they_are() -> None:
    parts = ["train", "train", "validation", "validation", "test"]
    split = official_split([0, 1, 0, 1, 1], [()] * 5, parts, **HOW)
    assert [part.tolist() for part in split.by_name().values()] == [[0, 1], [2, 3], [4]]
    assert not len(split.dropped)


@pytest.mark.parametrize("rest", ["", "train"])
def test_where_only_the_test_clips_are_named_validation_is_dealt_out_by_group(rest: str) -> None:
    labels = [0, 1] * 20
    groups = [(f"p{number // 4}",) for number in range(40)]
    parts = ["test" if number < 8 else rest for number in range(40)]
    split = official_split(labels, groups, parts, **HOW)
    assert split.test.tolist() == list(range(8))
    assert len(split.validation) == 8 and len(split.train) == 24
    sides = [{groups[clip] for clip in part} for part in (split.train, split.validation)]
    assert not sides[0] & sides[1]


def test_clips_without_a_part_beside_training_clips_are_refused_or_dropped_as_asked() -> None:
    labels, parts = [0, 1, 0, 1, 0], ["train", "train", "validation", "validation", ""]
    with pytest.raises(DatasetError, match="1 of 5 clips have no part"):
        official_split(labels, [()] * 5, parts, **HOW)
    split = official_split(labels, [()] * 5, parts, **HOW, drop_unassigned=True)
    assert split.dropped.tolist() == [4]


@pytest.mark.parametrize("lacking", ["train", "validation"])
def test_a_part_with_a_single_class_is_refused(lacking: str) -> None:
    parts = ["train", "train", "validation", "validation"]
    labels = [0, 1, 0, 1]
    labels[parts.index(lacking)] = 1
    with pytest.raises(DatasetError, match=f"no {lacking} part with both classes"):
        official_split(labels, [()] * 4, parts, **HOW)


def test_pseudo_fakes_stand_in_for_what_the_training_part_lacks() -> None:
    parts = ["train", "train", "validation", "validation", "test"]
    with pytest.raises(DatasetError, match="no train part with both classes"):
        official_split([0] * 4 + [1], [()] * 5, parts, **HOW)
    made = [True, False, False, False, False]
    split = official_split([0] * 4 + [1], [()] * 5, parts, **HOW, pseudo_fakes=made)
    assert [part.tolist() for part in split.by_name().values()] == [[0, 1], [2, 3], [4]]
    with pytest.raises(DatasetError, match="no validation part with both classes"):
        official_split([0, 1, 0, 0, 1], [()] * 5, parts, **HOW, pseudo_fakes=[False] * 4 + [True])
    with pytest.raises(DatasetError, match="no validation part with both classes"):
        official_split([0, 0, 1, 1, 1], [()] * 5, parts, **HOW, pseudo_fakes=made)


def test_validation_is_dealt_out_of_real_clips_where_fakes_are_made_of_them() -> None:
    parts = ["test" if number < 8 else "" for number in range(40)]
    groups = [(f"p{number // 4}",) for number in range(40)]
    split = official_split([0] * 40, groups, parts, **HOW, pseudo_fakes=[True] * 40)
    assert split.test.tolist() == list(range(8)) and len(split.validation) == 8


def test_the_same_file_under_two_names_is_one_group() -> None:
    groups = add_duplicate_groups([("ann",), (), ("bob",), ()], ["aa", "aa", "bb", ""])
    assert set(groups[0]) & set(groups[1])
    assert "ann" in groups[0]
    assert groups[2:] == [("bob",), ()]


def test_unknown_digests_make_no_twins() -> None:
    assert add_duplicate_groups([(), ()], ["", ""]) == [(), ()]


def test_what_stands_in_two_parts_is_named_with_them() -> None:
    values = [("ann",), ("ann", "bob"), ("bob",), ("cid",)]
    parts = {"train": np.array([0]), "test": np.array([1, 2]), "validation": np.array([3])}
    assert shared_between_splits(values, parts) == {"ann": ("train", "test")}
