from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepfake_seq.datasets import grouped_folds, split_by_group
from deepfake_seq.errors import DatasetError

SHARES = {"validation": 0.2, "test": 0.2}


@st.composite
def clips(draw: Any) -> tuple[list[int], list[tuple[str, ...]]]:
    count = draw(st.integers(8, 60))
    people = draw(st.integers(4, 30))
    labels = [0, 1, *draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))]
    group = st.lists(st.integers(0, people).map(str), max_size=2, unique=True).map(tuple)
    return labels, [draw(group) for _ in labels]


@settings(max_examples=40)
@given(clips(), st.integers(0, 5))
def test_no_group_is_on_two_sides_and_every_clip_has_one_place(
    data: tuple[list[int], list[tuple[str, ...]]], seed: int
) -> None:
    labels, groups = data
    try:
        split = split_by_group(labels, groups, **SHARES, seed=seed)
    except DatasetError:
        return
    sides = {name: {g for c in part for g in groups[c]} for name, part in split.by_name().items()}
    assert not sides["train"] & sides["validation"]
    assert not (sides["train"] | sides["validation"]) & sides["test"]
    everyone = np.concatenate([*split.by_name().values(), split.dropped])
    assert sorted(everyone.tolist()) == list(range(len(labels)))
    for name in ("train", "validation"):
        assert {labels[clip] for clip in split.by_name()[name]} == {0, 1}
    again = split_by_group(labels, groups, **SHARES, seed=seed)
    assert np.array_equal(split.train, again.train)


def test_classes_are_shared_out_as_asked() -> None:
    labels = [0] * 80 + [1] * 20
    split = split_by_group(labels, [()] * 100, **SHARES, seed=0)
    shares = {
        name: (len(part), sum(labels[clip] for clip in part))
        for name, part in split.by_name().items()
    }
    assert shares == {"train": (60, 12), "validation": (20, 4), "test": (20, 4)}


def test_clips_of_one_group_each_are_never_dropped() -> None:
    labels = [0, 1] * 20
    groups = [(f"p{number % 9}",) for number in range(40)]
    assert not len(split_by_group(labels, groups, **SHARES, seed=1).dropped)


def test_people_tied_by_a_swap_stay_together_where_that_is_possible() -> None:
    labels, groups = [], []
    for pair in range(10):
        names = (f"a{pair}", f"b{pair}")
        labels += [0, 0, 1]
        groups += [names[:1], names[1:], names]
    assert not len(split_by_group(labels, groups, **SHARES, seed=0).dropped)


def test_clips_that_straddle_are_dropped_where_all_are_tied_to_all() -> None:
    people = [f"id{number}" for number in range(12)]
    labels, groups = [], []
    for person in people:
        labels += [0] * 4
        groups += [(person,)] * 4
        for other in people:
            if other != person:
                labels.append(1)
                groups.append((person, other))
    split = split_by_group(labels, groups, **SHARES, seed=0)
    assert len(split.dropped)
    sides = {name: {g for c in part for g in groups[c]} for name, part in split.by_name().items()}
    assert not sides["train"] & (sides["validation"] | sides["test"])


def test_a_single_class_is_refused() -> None:
    with pytest.raises(DatasetError, match="3 real and 0 fake"):
        split_by_group([0, 0, 0], [()] * 3, **SHARES, seed=0)


def test_a_single_group_is_refused() -> None:
    with pytest.raises(DatasetError, match="at least two groups"):
        split_by_group([0, 1, 0, 1], [("ann",)] * 4, **SHARES, seed=0)


def test_a_class_that_sits_in_one_group_is_refused() -> None:
    groups = [("ann",), ("ann",), ("bob",), ("cid",), ("dan",)]
    with pytest.raises(DatasetError, match="too few of them"):
        split_by_group([1, 1, 0, 0, 0], groups, **SHARES, seed=0)


@settings(max_examples=40)
@given(clips(), st.integers(2, 4), st.integers(0, 5))
def test_folds_hold_every_clip_out_once_at_most_and_share_no_group(
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
        rest, test = ({g for c in part for g in groups[c]} for part in (fold.rest, fold.held_out))
        assert not rest & test
        everyone = np.concatenate([fold.rest, fold.held_out, fold.dropped])
        assert sorted(everyone.tolist()) == list(range(len(labels)))
        for part in (fold.rest, fold.held_out):
            assert {labels[clip] for clip in part} == {0, 1}


@settings(max_examples=40)
@given(clips(), st.data(), st.integers(0, 3))
def test_pseudo_fakes_stand_in_for_fakes_only_where_there_are_too_few(
    data: tuple[list[int], list[tuple[str, ...]]], more: st.DataObject, seed: int
) -> None:
    labels, groups = data
    if more.draw(st.booleans()):
        labels = [0] * len(labels)
    made = [label == 0 and more.draw(st.booleans()) for label in labels]
    try:
        split = split_by_group(labels, groups, **SHARES, seed=seed, pseudo_fakes=made)
    except DatasetError:
        with pytest.raises(DatasetError):
            split_by_group(labels, groups, **SHARES, seed=seed)
        return
    sides = {name: {g for c in part for g in groups[c]} for name, part in split.by_name().items()}
    assert not sides["train"] & sides["validation"]
    assert not (sides["train"] | sides["validation"]) & sides["test"]
    trained = {labels[clip] for clip in split.train} | {1 for clip in split.train if made[clip]}
    assert trained == {0, 1}
    validated = {labels[clip] for clip in split.validation}
    assert 0 in validated
    try:
        plain = split_by_group(labels, groups, **SHARES, seed=seed)
    except DatasetError:
        assert any(made[clip] for clip in split.train)
        return
    assert validated == {0, 1}
    for name, part in plain.by_name().items():
        assert np.array_equal(part, split.by_name()[name])


def test_the_few_fakes_of_one_person_go_to_validation_where_pseudo_fakes_train() -> None:
    labels, groups = [0] * 40 + [1] * 3, [(f"p{n}",) for n in range(40)] + [("eve",)] * 3
    with pytest.raises(DatasetError, match="too few of them"):
        split_by_group(labels, groups, **SHARES, seed=0)
    made = [label == 0 for label in labels]
    split = split_by_group(labels, groups, **SHARES, seed=0, pseudo_fakes=made)
    assert {40, 41, 42} <= set(split.validation.tolist())
    assert len(split.test) == 8 and len(split.train) == 24


def test_folds_of_real_clips_will_do_where_there_is_not_one_fake() -> None:
    labels, groups = [0] * 20, [(f"p{n // 2}",) for n in range(20)]
    folds = grouped_folds(labels, groups, 5, 0, pseudo_fakes=[True] * 20)
    assert sorted(np.concatenate([fold.held_out for fold in folds]).tolist()) == list(range(20))
    with pytest.raises(DatasetError, match="20 real and 0 fake"):
        grouped_folds(labels, groups, 5, 0)
    with pytest.raises(DatasetError, match="cannot be dealt"):
        grouped_folds(labels, groups, 5, 0, pseudo_fakes=[True, True] + [False] * 18)
    few = [1, *labels[1:]]  # with a fake, folds without one would say less than a single split
    with pytest.raises(DatasetError, match="cannot be dealt"):
        grouped_folds(few, groups, 5, 0, pseudo_fakes=[True] * 20)


def test_folds_of_clips_with_one_group_each_leave_nobody_out() -> None:
    labels = [0, 1] * 20
    groups = [(f"p{number % 10}",) for number in range(40)]
    folds = grouped_folds(labels, groups, 5, seed=0)
    assert sorted(np.concatenate([fold.held_out for fold in folds]).tolist()) == list(range(40))
    assert [len(fold.held_out) for fold in folds] == [8] * 5


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(DatasetError, match="3 groups cannot be dealt into 4 folds"):
        grouped_folds([0, 1] * 6, [(f"p{number % 3}",) for number in range(12)], 4, seed=0)
