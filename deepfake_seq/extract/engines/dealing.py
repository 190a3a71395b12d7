"""Dealing videos out to machines, and what becomes of those that a lost machine had: bookkeeping.

Nothing here knows what a machine is, or what time it is.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from deepfake_seq.extract.resume import Todo

ATTEMPTS = 3
"""How many machines a video may take down with it. The last one gets it alone, so that only the
video whose fault it is can be blamed."""

_AHEAD_SECONDS = 10.0
"""How much work a machine is given ahead: more than it takes to ask for more, and no more than may
be left over on a slow one when the others have nothing to do."""


@dataclass
class _Hand:
    """What one machine has.

    Attributes:
        depth: How many videos it works on at a time.
        per_second: How many it has done in a second so far.
        todos: The videos that it was given and that it has not told of, by `video_id`.
        is_alone: Whether it has one that must be alone.
    """

    depth: int
    per_second: float = 0.0
    todos: dict[str, Todo] = field(default_factory=dict)
    is_alone: bool = False


class Dealer:
    """Deals videos to machines, by name.

    A machine has always as much as it can work on at a time, and what it does in the next seconds;
    towards the end less and less, so that all end together. What a lost machine had goes to the end
    of the queue; after `ATTEMPTS` such losses a video is given up.
    """

    def __init__(self) -> None:
        self._waiting: deque[Todo] = deque()
        self._suspects: deque[Todo] = deque()
        self._given_up: list[Todo] = []
        self._hands: dict[str, _Hand] = {}
        self._losses: Counter[str] = Counter()

    @property
    def is_done(self) -> bool:
        """Whether everything that was added is settled or given up, and told."""
        held = any(hand.todos for hand in self._hands.values())
        return not (self._waiting or self._suspects or self._given_up or held)

    def add(self, todos: Iterable[Todo]) -> None:
        """Put videos at the end of the queue."""
        for todo in todos:
            losses = self._losses[todo.item.video_id]
            if losses >= ATTEMPTS:
                self._given_up.append(todo)
            elif losses == ATTEMPTS - 1:
                self._suspects.append(todo)
            else:
                self._waiting.append(todo)

    def join(self, name: str, depth: int) -> None:
        """A machine is ready.

        Args:
            name: The machine.
            depth: How many videos it works on at a time, 1 or more.
        """
        self._hands[name] = _Hand(depth)

    def pace(self, name: str, per_second: float) -> None:
        """Note how many videos a machine does in a second."""
        self._hands[name].per_second = per_second

    def deal(self, name: str) -> list[Todo]:
        """What a machine is to do besides what it has; nothing where it has enough."""
        hand = self._hands[name]
        if hand.is_alone:
            return []
        if self._waiting:
            dealt = [self._waiting.popleft() for _ in range(self._room(hand))]
        elif self._suspects and not hand.todos:
            dealt = [self._suspects.popleft()]
            hand.is_alone = True
        else:
            dealt = []
        hand.todos.update((todo.item.video_id, todo) for todo in dealt)
        return dealt

    def has(self, name: str) -> bool:
        """Whether a machine has anything that it has not told of."""
        return bool(self._hands[name].todos)

    def settle(self, name: str, video_id: str) -> bool:
        """A machine is done with a video; whether another one was lost with it before."""
        hand = self._hands[name]
        del hand.todos[video_id]
        hand.is_alone = False
        return self._losses[video_id] > 0

    def is_alone(self, name: str) -> bool:
        """Whether a machine was given one video alone, because others were lost with it."""
        return name in self._hands and self._hands[name].is_alone

    def leave(self, name: str) -> int:
        """A machine is lost; gives how many videos it had."""
        hand = self._hands.pop(name, None)
        if hand is None:
            return 0
        self._losses.update(hand.todos.keys())
        self.add(hand.todos.values())
        return len(hand.todos)

    def given_up(self) -> list[Todo]:
        """The videos that were given up since this was last asked."""
        told, self._given_up = self._given_up, []
        return told

    def _room(self, hand: _Hand) -> int:
        """How many more of those that wait a machine is to have."""
        hands, waiting = self._hands.values(), len(self._waiting)
        pace = sum(other.per_second for other in hands)
        if all(other.per_second for other in hands):
            share = hand.per_second / pace
        else:
            share = hand.depth / sum(other.depth for other in hands)
        seconds = min(_AHEAD_SECONDS, waiting / pace) if pace else 0.0
        wanted = max(hand.depth, math.ceil(hand.per_second * seconds)) - len(hand.todos)
        return max(min(wanted, math.ceil(waiting * share)), 0)
