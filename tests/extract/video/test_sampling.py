"""Choice of the sampled frames."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepfake_seq.config import SAMPLERS
from deepfake_seq.extract.video.sampling import (
    choose,
    consecutive,
    keyframes,
    neighbours,
    uniform,
    without_breaks,
)

Ticks = npt.NDArray[np.float64]

counts = st.integers(1, 256)
gaps = st.lists(st.integers(1, 5000), min_size=1, max_size=400)


def times_from(gaps: list[int]) -> tuple[Ticks, float]:
    """Return presentation times with these gaps, and the end of the last frame's display."""
    edges = np.cumsum([0, *gaps]).astype(np.float64)
    return edges[:-1], float(edges[-1])


@given(gaps, counts)
def test_positions_increase_strictly_and_are_as_many_as_possible(
    gaps: list[int], count: int
) -> None:
    times, end = times_from(gaps)
    chosen = uniform(times, end, count)
    assert len(chosen) == min(len(times), count)
    assert np.all(np.diff(chosen) > 0)
    assert chosen[0] >= 0
    assert chosen[-1] < len(times)
    assert np.issubdtype(chosen.dtype, np.integer)


@given(gaps, st.integers(0, 50))
def test_a_short_video_gives_all_frames(gaps: list[int], more: int) -> None:
    times, end = times_from(gaps)
    assert uniform(times, end, len(times) + more).tolist() == list(range(len(times)))


def test_no_frames_give_no_positions() -> None:
    assert uniform(np.array([]), 0.0, 16).tolist() == []


@given(st.integers(1, 3000), counts)
def test_frames_at_constant_rate_are_those_shown_at_the_centres(frames: int, count: int) -> None:
    count = min(count, frames)
    chosen = uniform(np.arange(frames, dtype=np.float64), float(frames), count)
    assert chosen.tolist() == [(2 * k + 1) * frames // (2 * count) for k in range(count)]


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(25), Fraction(30), Fraction(30000, 1001)])
def test_rounded_times_at_constant_rate_give_evenly_spaced_frames(
    rate: Fraction,
) -> None:
    # In videos of 32 n frames each centre falls on the border of two frames, so that the last bit
    # of a float could decide; it must decide nothing.
    for frames in range(32, 641, 32):
        times = np.arange(frames) * float(1 / rate)
        chosen = uniform(times, float(frames / rate), 16)
        assert np.diff(chosen).tolist() == [frames // 16] * 15, f"{frames} frames"


@given(gaps, counts, st.sampled_from([2.0**power for power in range(-20, 21)]))
def test_the_unit_of_time_does_not_matter(gaps: list[int], count: int, scale: float) -> None:
    times, end = times_from(gaps)
    assert (
        uniform(times * scale, end * scale, count).tolist() == uniform(times, end, count).tolist()
    )


@given(gaps, st.sampled_from([2**power for power in range(9)]), st.integers(-100_000, 100_000))
def test_the_start_time_does_not_matter(gaps: list[int], count: int, shift: int) -> None:
    times, end = times_from(gaps)
    assert (
        uniform(times + shift, end + shift, count).tolist() == uniform(times, end, count).tolist()
    )


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 120))
def test_a_frozen_stretch_still_gives_different_frames(before: int, after: int, count: int) -> None:
    times, end = times_from([1] * before + [1_000_000] + [1] * after)
    chosen = uniform(times, end, count)
    assert len(set(chosen.tolist())) == min(count, len(times))


def test_frames_are_chosen_by_time_not_by_number() -> None:
    times, end = times_from([1] * 90 + [90] * 10)
    chosen = uniform(times, end, 10)
    assert np.count_nonzero(chosen >= 90) == 9


@pytest.mark.parametrize("strategy", ["uniform", "keyframes"])
@given(
    st.integers(2, 400), st.integers(2, 400), st.integers(26, 1_000_000), st.sampled_from([1, 16])
)
def test_joined_recordings_are_sampled_as_if_nothing_were_between_them(
    strategy: str, first: int, second: int, jump: int, count: int
) -> None:
    times, end = times_from([1] * (first - 1) + [jump] + [1] * second)
    whole, whole_end = times_from([1] * (first + second))
    is_key = np.arange(first + second) % 3 == 0
    assert (
        choose(strategy, times, is_key, end, count).tolist()
        == choose(strategy, whole, is_key, whole_end, count).tolist()
    )


@given(st.lists(st.integers(2, 60), min_size=2, max_size=8), counts)
def test_the_length_of_breaks_does_not_matter(recordings: list[int], count: int) -> None:
    def choice(jump: int) -> list[int]:
        gaps = [gap for frames in recordings for gap in [*[1] * (frames - 1), jump]]
        return uniform(*times_from([*gaps[:-1], 1]), count).tolist()

    assert choice(90_000) == choice(26) == choice(1)


@given(st.lists(st.integers(100, 2500), min_size=1, max_size=400))
def test_gaps_of_an_ordinary_variable_frame_rate_are_no_breaks(gaps: list[int]) -> None:
    times, end = times_from(gaps)
    shown, shown_end = without_breaks(times, end)
    assert shown is times and shown_end == end


@given(gaps)
def test_times_without_breaks_increase_and_no_gap_gets_longer(gaps: list[int]) -> None:
    times, end = times_from(gaps)
    shown, shown_end = without_breaks(times, end)
    shortened = np.diff(shown, append=shown_end)
    assert (shortened > 0).all()
    assert (shortened <= np.diff(times, append=end)).all()


def test_a_stretch_of_slides_counts_in_full() -> None:
    times, end = times_from([1] * 250 + [50] * 50 + [1] * 250)
    assert without_breaks(times, end)[1] == end
    chosen = uniform(times, end, 16)
    assert np.count_nonzero((chosen >= 250) & (chosen < 300)) == 14


@given(st.integers(0, 600), counts)
def test_consecutive_frames_are_from_the_middle(available: int, count: int) -> None:
    chosen = consecutive(available, count)
    assert len(chosen) == min(available, count)
    assert np.all(np.diff(chosen) == 1)
    if len(chosen):
        before, after = chosen[0], available - 1 - chosen[-1]
        assert 0 <= after - before <= 1


@given(gaps, counts, st.data())
def test_keyframes_are_spread_over_all_key_frames(
    gaps: list[int], count: int, data: st.DataObject
) -> None:
    times, end = times_from(gaps)
    is_key = np.array(data.draw(st.lists(st.booleans(), min_size=len(gaps), max_size=len(gaps))))
    chosen = keyframes(times, is_key, end, count)
    assert len(chosen) == min(int(is_key.sum()), count)
    assert is_key[chosen].all()
    assert np.all(np.diff(chosen) > 0)
    if is_key.all():
        assert chosen.tolist() == uniform(times, end, count).tolist()


@pytest.mark.parametrize("strategy", SAMPLERS)
@given(gaps=gaps, count=counts)
def test_every_strategy_is_reproducible_and_increasing(
    strategy: str, gaps: list[int], count: int
) -> None:
    times, end = times_from(gaps)
    is_key = np.arange(len(times)) % 12 == 0
    chosen = choose(strategy, times, is_key, end, count)
    assert 1 <= len(chosen) <= min(count, len(times))
    assert np.all(np.diff(chosen) > 0)
    assert chosen.tolist() == choose(strategy, times, is_key, end, count).tolist()


@given(st.sets(st.integers(0, 300), min_size=1, max_size=40), st.integers(0, 50), st.data())
def test_neighbours_are_nearer_to_their_own_frame_than_to_any_other(
    positions: set[int], more: int, data: st.DataObject
) -> None:
    chosen = np.array(sorted(positions))
    available = int(chosen[-1]) + 1 + more
    missed = data.draw(st.sets(st.integers(0, len(chosen) - 1)))
    found = neighbours(chosen, np.array(sorted(missed), dtype=np.int64), available)
    assert len(found) == len(missed)
    everything = [at for near in found for at in near]
    assert len(everything) == len(set(everything))
    for index, near in zip(sorted(missed), found, strict=True):
        assert len(near) <= 4
        for at in near:
            assert 0 <= at < available and at not in positions
            distances = np.abs(chosen - at)
            assert distances[index] == distances.min()
            assert (np.delete(distances, index) > distances[index]).all()


def test_neighbours_are_ordered_by_distance_from_both_sides() -> None:
    (near,) = neighbours(np.array([40, 80, 120]), np.array([1]), 160)
    assert near.tolist() == [85, 75, 94, 66]


def test_no_frames_have_no_neighbours() -> None:
    empty = np.zeros(0, dtype=np.int64)
    assert neighbours(empty, empty, 0) == []
