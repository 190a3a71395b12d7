"""Who gets which videos: every one is dealt, told once, and lost machines cost nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.engines.dealing import ATTEMPTS, Dealer
from deepfake_seq.extract.resume import Todo


def todos(count: int) -> list[Todo]:
    return [Todo(VideoItem(Path(f"{n}.mp4"), f"{n}.mp4"), 0) for n in range(count)]


def names(dealt: list[Todo]) -> list[str]:
    return [todo.item.video_id for todo in dealt]


class Table:
    """Machines that do what they are dealt, in any order, and are lost at any time."""

    def __init__(self, count: int) -> None:
        self.dealer = Dealer()
        self.dealer.add(todos(count))
        self.hands: dict[str, list[str]] = {}
        self.alone: set[str] = set()
        self.tries: Counter[str] = Counter()
        self.settled: Counter[str] = Counter()
        self.given_up: Counter[str] = Counter()

    def join(self, name: str, depth: int) -> None:
        if name not in self.hands:
            self.dealer.join(name, depth)
            self.hands[name] = []

    def deal(self, name: str) -> list[str]:
        dealt = names(self.dealer.deal(name))
        for video_id in dealt:
            self.tries[video_id] += 1
            if self.tries[video_id] == ATTEMPTS:
                self.alone.add(video_id)
        self.hands[name] += dealt
        return dealt

    def settle(self, name: str, which: int) -> None:
        if self.hands[name]:
            video_id = self.hands[name].pop(which % len(self.hands[name]))
            self.settled[video_id] += 1
            assert self.dealer.settle(name, video_id) == (self.tries[video_id] > 1)

    def lose(self, name: str) -> None:
        lost = self.hands.pop(name)
        assert self.dealer.leave(name) == len(lost)
        given_up = names(self.dealer.given_up())
        assert set(given_up) <= set(lost)
        self.given_up.update(given_up)

    def finish(self) -> None:
        """Let one machine do all that is left."""
        for name in list(self.hands):
            while self.hands[name]:
                self.settle(name, 0)
        self.join("last", 3)
        while dealt := self.deal("last"):
            for _ in dealt:
                self.settle("last", 0)


MACHINES = st.sampled_from(["a", "b", "c"])
EVENTS = st.one_of(
    st.tuples(st.just("join"), MACHINES, st.integers(1, 6)),
    st.tuples(st.just("deal"), MACHINES, st.just(0)),
    st.tuples(st.just("pace"), MACHINES, st.integers(0, 5)),
    st.tuples(st.just("settle"), MACHINES, st.integers(0, 20)),
    st.tuples(st.just("lose"), MACHINES, st.just(0)),
)


@given(count=st.integers(0, 30), events=st.lists(EVENTS, max_size=80))
def test_every_video_is_settled_or_given_up_exactly_once(
    count: int, events: list[tuple[str, str, int]]
) -> None:
    table = Table(count)
    for kind, name, number in events:
        if kind == "join":
            table.join(name, number)
        elif name in table.hands:
            if kind == "deal":
                table.deal(name)
            elif kind == "pace":
                table.dealer.pace(name, number / 2)
            elif kind == "settle":
                table.settle(name, number)
            else:
                table.lose(name)
        in_hand = [video_id for hand in table.hands.values() for video_id in hand]
        assert len(in_hand) == len(set(in_hand))
        for hand in table.hands.values():
            assert len(hand) == 1 or not table.alone.intersection(hand)
    table.finish()
    assert table.dealer.is_done
    assert table.settled + table.given_up == Counter(names(todos(count)))
    assert all(table.tries[video_id] == ATTEMPTS for video_id in table.given_up)
    assert all(tries <= ATTEMPTS for tries in table.tries.values())


@given(waiting=st.integers(1, 50), depths=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_nobody_is_idle_while_something_waits(waiting: int, depths: list[int]) -> None:
    table = Table(waiting)
    for number, depth in enumerate(depths):
        table.join(str(number), depth)
    left = waiting
    for number in range(len(depths)):
        dealt = table.deal(str(number))
        assert bool(dealt) == (left > 0)
        left -= len(dealt)


def test_a_machine_has_as_much_as_it_works_on_and_the_next_seconds_of_it() -> None:
    table = Table(1000)
    table.join("a", 4)
    assert len(table.deal("a")) == 4
    assert table.deal("a") == []
    table.dealer.pace("a", 2.0)
    assert len(table.deal("a")) == 16  # ten seconds of it, less what it has


def test_towards_the_end_machines_are_given_less_so_that_they_end_together() -> None:
    table = Table(12)
    for name in ("fast", "slow"):
        table.join(name, 1)
    table.dealer.pace("fast", 3.0)
    table.dealer.pace("slow", 1.0)
    assert len(table.deal("slow")) <= 3
    assert 6 <= len(table.deal("fast")) <= 9


def test_what_a_lost_machine_had_is_done_by_another() -> None:
    table = Table(6)
    table.join("a", 2)
    lost = table.deal("a")
    table.lose("a")
    table.finish()
    assert set(lost) <= set(table.settled)
    assert [table.tries[video_id] for video_id in lost] == [2, 2]
    assert table.tries.total() == 8  # nothing else was made twice


def test_only_the_video_that_takes_machines_down_alone_is_given_up() -> None:
    """One video kills whoever has it."""
    table = Table(9)
    machine = 0
    while not table.given_up:
        machine += 1
        table.join(str(machine), 4)
        while (dealt := table.deal(str(machine))) and "5.mp4" not in table.hands[str(machine)]:
            for _ in dealt:
                table.settle(str(machine), 0)
        table.lose(str(machine))
    assert machine == ATTEMPTS
    assert table.given_up == {"5.mp4": 1}
    table.finish()
    assert len(table.settled) == 8


def test_a_video_that_was_given_up_is_not_dealt_again_in_this_run() -> None:
    table = Table(1)
    for machine in range(ATTEMPTS):
        table.join(str(machine), 1)
        table.deal(str(machine))
        table.lose(str(machine))
    table.dealer.add(todos(1))  # it was somebody else's when it should have been recorded
    table.join("last", 1)
    assert table.deal("last") == []
    assert not table.dealer.is_done
    assert names(table.dealer.given_up()) == ["0.mp4"]
    assert table.dealer.is_done
