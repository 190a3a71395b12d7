"""Where the time of a run goes: what each stage was busy with, and for how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

PREPARING = ("decode", "detect", "crop")
"""The stages that a video goes through one after the other, in one of several lanes."""

STAGES = {
    "decode": "videos",
    "detect": "frames",
    "crop": "faces",
    "cnn": "faces",
    "store": "videos",
}
"""The stages and what they do one of at a time."""


@dataclass
class Stage:
    """One stage of a run.

    Attributes:
        busy_seconds: Wall time spent in it, summed over its lanes.
        done: How many videos, frames or faces went through it.
        lanes: How many of it run side by side.
    """

    busy_seconds: float = 0.0
    done: int = 0
    lanes: int = 1


@dataclass(frozen=True)
class Snapshot:
    """A part of a profile, to be sent to another process.

    Attributes:
        stages: The stages, by name.
        seconds: Wall time.
    """

    stages: dict[str, Stage]
    seconds: float


class Profile:
    """Adds up stages; several threads may do so at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._begin: float | None = None
        self._end: float | None = None
        self.stages = {name: Stage() for name in STAGES}

    def start(self, lanes: int) -> None:
        """Begin the clock, or let it go on: everything is ready, and the work begins.

        Args:
            lanes: How many videos are prepared side by side.
        """
        for name in PREPARING:
            self.stages[name].lanes = lanes
        now = time.monotonic()
        if self._begin is None or self._end is None:
            self._begin = self._begin or now
        else:
            self._begin += now - self._end
        self._end = None

    def stop(self) -> None:
        """Stop the clock."""
        self._end = time.monotonic()

    @contextmanager
    def measure(self, stage: str, done: int = 0) -> Iterator[None]:
        """Count the block as time of a stage in which so many units were done."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.add(stage, time.monotonic() - begin, done)

    def add(self, stage: str, busy_seconds: float, done: int) -> None:
        """Count time of a stage that was measured elsewhere."""
        with self._lock:
            self.stages[stage].busy_seconds += busy_seconds
            self.stages[stage].done += done

    @property
    def seconds(self) -> float:
        """Wall time from the start to the stop, or to now."""
        if self._begin is None:
            return 0.0
        return (self._end or time.monotonic()) - self._begin

    def pressure(self, stage: str) -> float:
        """The share of the time in which what a stage runs on was busy, with it or another, 0 to 1.

        The stages of preparing run on the same lanes, so they are under the same pressure.
        """
        capacity = self.capacity(stage)
        names = PREPARING if stage in PREPARING else (stage,)
        busy = sum(self.stages[name].busy_seconds for name in names)
        return busy / capacity if capacity else 0.0

    def capacity(self, stage: str) -> float:
        """The seconds that the lanes of a stage had, in all."""
        return self.stages[stage].lanes * self.seconds

    def take(self) -> Snapshot:
        """What was added since the last call, and the time since then; both begin anew."""
        with self._lock:
            taken = Snapshot(self.stages, self.seconds)
            self.stages = {name: Stage(lanes=stage.lanes) for name, stage in self.stages.items()}
            if self._begin is not None:
                self._begin = self._end or time.monotonic()
        return taken

    @property
    def bottleneck(self) -> str:
        """The stage to make faster first: the longest of those under the greatest pressure."""
        return max(STAGES, key=lambda name: (self.pressure(name), self.stages[name].busy_seconds))

    def to_dict(self) -> dict[str, Any]:
        """The table as plain JSON values.

        Per stage `lanes`, `busy_seconds` (summed over them), `idle_seconds` (of the lanes, at the
        last stage that uses them; elsewhere None), `done`, its `unit`, and `per_second` of wall
        time.
        """
        stages = {}
        for name, unit in STAGES.items():
            stage = self.stages[name]
            idle = self.capacity(name) * (1.0 - self.pressure(name))
            shares = name in PREPARING[:-1]
            stages[name] = {
                "lanes": stage.lanes,
                "busy_seconds": round(stage.busy_seconds, 3),
                "idle_seconds": None if shares else round(max(idle, 0.0), 3),
                "done": stage.done,
                "unit": unit,
                "per_second": round(stage.done / self.seconds, 3) if self.seconds else 0.0,
            }
        return {
            "seconds": round(self.seconds, 3),
            "bottleneck": self.bottleneck,
            "stages": stages,
        }


class SummedProfile(Profile):
    """The sum of what several processes report, with a wall clock of its own.

    Busy times are under the pressure of all lanes over the time that each of them was at work.
    """

    def __init__(self) -> None:
        super().__init__()
        self._capacity = dict.fromkeys(STAGES, 0.0)

    def add_report(self, taken: Snapshot) -> None:
        """Add what one process reports."""
        for name, stage in taken.stages.items():
            self.add(name, stage.busy_seconds, stage.done)
            self._capacity[name] += stage.lanes * taken.seconds
            if self.seconds:
                self.stages[name].lanes = round(self._capacity[name] / self.seconds)

    def capacity(self, stage: str) -> float:
        """See `Profile.capacity`."""
        return self._capacity[stage]
