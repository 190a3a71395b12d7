from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepfake_seq.datasets import Split, grouped_folds, split_by_group
from deepfake_seq.errors import DatasetError

FRACTIONS = {"validation": 0.2, "test": 0.2}


def groups_by_split(split: Split, groups: list[tuple[str, ...]]) -> dict[str, set[str]]:
    return {
        name: {group for clip in clips for group in groups[clip]}
        for name, clips in split.by_name().items()
    }


@st.composite
def labelled_clips(draw: Any) -> tuple[list[int], list[tuple[str, ...]]]:
    count = draw(st.integers(8, 60))
    people = draw(st.integers(4, 30))
    labels = [0, 1, *draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))]
    group = st.lists(st.integers(0, people).map(str), max_size=2, unique=True).map(tuple)
    return labels, [draw(group) for _ in labels]


@settings(max_examples=40)
@given(labelled_clips(), st.integers(0, 5))
def test_splits_share_no_group_and_contain_every_clip_once(
    data: tuple[list[int], list[tuple[str, ...]]], seed: int
) -> None:
    labels, groups = data
    try:
        split = split_by_group(labels, groups, **FRACTIONS, seed=seed)
    except DatasetError:
        return
    split_groups = groups_by_split(split, groups)
    assert not split_groups["train"] & split_groups["validation"]
    assert not (split_groups["train"] | split_groups["validation"]) & split_groups["test"]
    all_clips = np.concatenate([*split.by_name().values(), split.dropped])
    assert sorted(all_clips.tolist()) == list(range(len(labels)))
    for name in ("train", "validation"):
        assert {labels[clip] for clip in split.by_name()[name]} == {0, 1}
    again = split_by_group(labels, groups, **FRACTIONS, seed=seed)
    assert np.array_equal(split.train, again.train)


def test_splits_have_the_requested_fraction_of_each_class() -> None:
    labels = [0] * 80 + [1] * 20
    split = split_by_group(labels, [()] * 100, **FRACTIONS, seed=0)
    sizes = {
        name: (len(clips), sum(labels[clip] for clip in clips))
        for name, clips in split.by_name().items()
    }
    assert sizes == {"train": (60, 12), "validation": (20, 4), "test": (20, 4)}


def test_clips_with_one_group_each_are_never_dropped() -> None:
    labels = [0, 1] * 20
    groups = [(f"p{number % 9}",) for number in range(40)]
    assert not len(split_by_group(labels, groups, **FRACTIONS, seed=1).dropped)


def test_groups_connected_by_a_face_swap_stay_together_if_possible() -> None:
    labels, groups = [], []
    for pair in range(10):
        names = (f"a{pair}", f"b{pair}")
        labels += [0, 0, 1]
        groups += [names[:1], names[1:], names]
    assert not len(split_by_group(labels, groups, **FRACTIONS, seed=0).dropped)


def test_clips_with_groups_in_two_splits_are_dropped_if_all_groups_are_connected() -> None:
    people = [f"id{number}" for number in range(12)]
    labels, groups = [], []
    for person in people:
        labels += [0] * 4
        groups += [(person,)] * 4
        for other in people:
            if other != person:
                labels.append(1)
                groups.append((person, other))
    split = split_by_group(labels, groups, **FRACTIONS, seed=0)
    assert len(split.dropped)
    split_groups = groups_by_split(split, groups)
    assert not split_groups["train"] & (split_groups["validation"] | split_groups["test"])


def test_a_single_class_is_refused() -> None:
    with pytest.raises(DatasetError, match="3 real and 0 fake"):
        split_by_group([0, 0, 0], [()] * 3, **FRACTIONS, seed=0)


def test_a_single_group_is_refused() -> None:
    with pytest.raises(DatasetError, match="at least two groups"):
        split_by_group([0, 1, 0, 1], [("ann",)] * 4, **FRACTIONS, seed=0)


def test_a_class_with_a_single_group_is_refused() -> None:
    groups = [("ann",), ("ann",), ("bob",), ("cid",), ("dan",)]
    with pytest.raises(DatasetError, match="too few of them"):
        split_by_group([1, 1, 0, 0, 0], groups, **FRACTIONS, seed=0)


@settings(max_examples=40)
@given(labelled_clips(), st.integers(2, 4), st.integers(0, 5))
def test_folds_hold_out_each_clip_at_most_once_and_share_no_group(
    data: tuple[list[int], list[tuple[str, ...]]], count: int, seed: int
) -> None:
    labels, groups = data
    try:
        folds = grouped_folds(labels, groups, count, seed)
    except DatasetError:
        return
    assert len(folds) == count
    held_out = np.concatenate([fold.held_out for fold in folds])
    assert len(set(held_out.tolist())) == len(held_out)
    for fold in folds:
        rest, test = ({g for c in clips for g in groups[c]} for clips in (fold.rest, fold.held_out))
        assert not rest & test
        all_clips = np.concatenate([fold.rest, fold.held_out, fold.dropped])
        assert sorted(all_clips.tolist()) == list(range(len(labels)))
        for clips in (fold.rest, fold.held_out):
            assert {labels[clip] for clip in clips} == {0, 1}


@settings(max_examples=40)
@given(labelled_clips(), st.data(), st.integers(0, 3))
def test_pseudo_fakes_stand_in_only_if_there_are_too_few_fakes(
    data: tuple[list[int], list[tuple[str, ...]]], more: st.DataObject, seed: int
) -> None:
    labels, groups = data
    if more.draw(st.booleans()):
        labels = [0] * len(labels)
    pseudo_fakes = [label == 0 and more.draw(st.booleans()) for label in labels]
    try:
        split = split_by_group(labels, groups, **FRACTIONS, seed=seed, pseudo_fakes=pseudo_fakes)
    except DatasetError:
        with pytest.raises(DatasetError):
            split_by_group(labels, groups, **FRACTIONS, seed=seed)
        return
    split_groups = groups_by_split(split, groups)
    assert not split_groups["train"] & split_groups["validation"]
    assert not (split_groups["train"] | split_groups["validation"]) & split_groups["test"]
    trained = {labels[clip] for clip in split.train} | {
        1 for clip in split.train if pseudo_fakes[clip]
    }
    assert trained == {0, 1}
    validated = {labels[clip] for clip in split.validation}
    assert 0 in validated
    try:
        plain = split_by_group(labels, groups, **FRACTIONS, seed=seed)
    except DatasetError:
        assert any(pseudo_fakes[clip] for clip in split.train)
        return
    assert validated == {0, 1}
    for name, clips in plain.by_name().items():
        assert np.array_equal(clips, split.by_name()[name])


def test_fakes_of_a_single_person_go_to_validation_if_training_has_pseudo_fakes() -> None:
    labels, groups = [0] * 40 + [1] * 3, [(f"p{n}",) for n in range(40)] + [("eve",)] * 3
    with pytest.raises(DatasetError, match="too few of them"):
        split_by_group(labels, groups, **FRACTIONS, seed=0)
    pseudo_fakes = [label == 0 for label in labels]
    split = split_by_group(labels, groups, **FRACTIONS, seed=0, pseudo_fakes=pseudo_fakes)
    assert {40, 41, 42} <= set(split.validation.tolist())
    assert len(split.test) == 8 and len(split.train) == 24


def test_folds_may_have_only_real_clips_if_there_are_no_fakes() -> None:
    labels, groups = [0] * 20, [(f"p{n // 2}",) for n in range(20)]
    folds = grouped_folds(labels, groups, 5, 0, pseudo_fakes=[True] * 20)
    assert sorted(np.concatenate([fold.held_out for fold in folds]).tolist()) == list(range(20))
    with pytest.raises(DatasetError, match="20 real and 0 fake"):
        grouped_folds(labels, groups, 5, 0)
    with pytest.raises(DatasetError, match="cannot be split"):
        grouped_folds(labels, groups, 5, 0, pseudo_fakes=[True, True] + [False] * 18)
    few = [1, *labels[1:]]  # one fake cannot be in every fold
    with pytest.raises(DatasetError, match="cannot be split"):
        grouped_folds(few, groups, 5, 0, pseudo_fakes=[True] * 20)


def test_folds_of_clips_with_one_group_each_drop_no_clip() -> None:
    labels = [0, 1] * 20
    groups = [(f"p{number % 10}",) for number in range(40)]
    folds = grouped_folds(labels, groups, 5, seed=0)
    assert sorted(np.concatenate([fold.held_out for fold in folds]).tolist()) == list(range(40))
    assert [len(fold.held_out) for fold in folds] == [8] * 5


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(DatasetError, match="3 groups cannot be split into 4 folds"):
        grouped_folds([0, 1] * 6, [(f"p{number % 3}",) for number in range(12)], 4, seed=0)
