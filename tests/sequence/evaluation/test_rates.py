"""Rates of grouped clips, with intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfake_seq.sequence.evaluation.rates import (
    effective_groups,
    grouped_rate,
    rate_ratio,
    wilson,
)

groups_of_hits = st.lists(st.lists(st.booleans(), min_size=1, max_size=5), min_size=1, max_size=12)


@given(groups_of_hits, st.integers(2, 6))
def test_more_groups_never_widen_an_interval(groups: list[list[bool]], times: int) -> None:
    hits = np.concatenate([np.array(group) for group in groups])
    unit = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    few = grouped_rate(hits, unit)
    more = grouped_rate(
        np.tile(hits, times), np.concatenate([unit + len(groups) * n for n in range(times)])
    )
    assert few is not None and more is not None
    assert more.value == pytest.approx(few.value)
    assert more.high - more.low <= few.high - few.low
    assert few.low <= few.value <= few.high


@given(groups_of_hits)
def test_copies_of_a_clip_in_its_group_do_not_narrow_an_interval(groups: list[list[bool]]) -> None:
    hits = np.concatenate([np.array(group) for group in groups])
    unit = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    once, twice = grouped_rate(hits, unit), grouped_rate(np.tile(hits, 2), np.tile(unit, 2))
    assert once is not None and twice is not None
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))


def test_wilsons_interval() -> None:
    rate = wilson(0.1, 50)
    assert (rate.low, rate.high) == pytest.approx((0.0435, 0.2136), abs=1e-3)  # R: prop.test(5, 50)
    assert wilson(0.0, 20).low == 0.0 and wilson(1.0, 20).high == 1.0


def test_unequal_groups_count_less() -> None:
    assert effective_groups(np.arange(10), np.ones(10)) == pytest.approx(10)
    assert effective_groups(np.repeat([0, 1], [9, 1]), np.ones(10)) == pytest.approx(100 / 82)
    assert effective_groups(np.arange(3), np.zeros(3)) == 0


def test_a_rate_without_clips_is_unknown() -> None:
    assert grouped_rate([], np.zeros(0, dtype=np.int64)) is None


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 200))
def test_the_interval_of_a_ratio_contains_it(one: float, two: float, n: int) -> None:
    few = rate_ratio(wilson(one, n), n, wilson(two, n), n)
    assert 0 < few.low <= few.value <= few.high < np.inf
    if one == two:
        assert few.value == pytest.approx(1.0)
