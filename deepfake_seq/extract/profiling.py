"""The time that each stage of a run was busy, and the bottleneck."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

PREPARING = ("decode", "detect", "crop")
"""The stages before the CNN; each lane runs them one after the other for one video."""

STAGES = {
    "decode": "videos",
    "detect": "frames",
    "crop": "faces",
    "cnn": "faces",
    "store": "videos",
}
"""The stages, and the unit that each one processes."""


@dataclass
class Stage:
    """One stage of a run.

    Attributes:
        busy_seconds: Wall time spent in the stage, summed over its lanes.
        done: Number of videos, frames or faces processed.
        lanes: Number of lanes (threads) that run in parallel.
    """

    busy_seconds: float = 0.0
    done: int = 0
    lanes: int = 1


@dataclass(frozen=True)
class Snapshot:
    """The profile of a period of time, to be sent to another process.

    Attributes:
        stages: The stages, by name.
        seconds: Wall time.
    """

    stages: dict[str, Stage]
    seconds: float


class Profile:
    """Sums the times of stages; several threads may use it at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Reset all times and counts."""
        self._begin: float | None = None
        self._end: float | None = None
        self.stages = {name: Stage() for name in STAGES}

    def start(self, lanes: int) -> None:
        """Start or resume the clock, after start-up.

        Args:
            lanes: Number of videos that are decoded and cropped in parallel.
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
        """Add the time of the block to a stage, with the number of units that it processes."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.add(stage, time.monotonic() - begin, done)

    def add(self, stage: str, busy_seconds: float, done: int) -> None:
        """Add time of a stage that was measured elsewhere."""
        with self._lock:
            self.stages[stage].busy_seconds += busy_seconds
            self.stages[stage].done += done

    @property
    def seconds(self) -> float:
        """Wall time during which the clock was running."""
        if self._begin is None:
            return 0.0
        return (self._end or time.monotonic()) - self._begin

    def pressure(self, stage: str) -> float:
        """Return the fraction of time, 0 to 1, in which the lanes of a stage were busy.

        The stages before the CNN share their lanes, so they have the same value.
        """
        capacity = self.capacity(stage)
        names = PREPARING if stage in PREPARING else (stage,)
        busy = sum(self.stages[name].busy_seconds for name in names)
        return busy / capacity if capacity else 0.0

    def capacity(self, stage: str) -> float:
        """Return the total time of all lanes of a stage, busy or idle, in seconds."""
        return self.stages[stage].lanes * self.seconds

    def take_snapshot(self) -> Snapshot:
        """Return what was added since the last call, and reset it."""
        with self._lock:
            now = self._end or time.monotonic()
            snapshot = Snapshot(self.stages, 0.0 if self._begin is None else now - self._begin)
            self.stages = {name: Stage(lanes=stage.lanes) for name, stage in self.stages.items()}
            if self._begin is not None:
                self._begin = now
        return snapshot

    @property
    def bottleneck(self) -> str:
        """The stage to make faster first: the longest one on the busiest lanes."""
        return max(STAGES, key=lambda name: (self.pressure(name), self.stages[name].busy_seconds))

    def to_dict(self) -> dict[str, Any]:
        """Return the profile as plain JSON values.

        Each stage has `lanes`, `busy_seconds` (summed over lanes), `idle_seconds` (of the lanes;
        None except at the last stage that uses them), `done`, its `unit`, and `per_second` of wall
        time.
        """
        stages = {}
        for name, unit in STAGES.items():
            stage = self.stages[name]
            idle = self.capacity(name) * (1.0 - self.pressure(name))
            shares_lanes = name in PREPARING[:-1]
            stages[name] = {
                "lanes": stage.lanes,
                "busy_seconds": round(stage.busy_seconds, 3),
                "idle_seconds": None if shares_lanes else round(max(idle, 0.0), 3),
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
    """The sum of the profiles of several processes, with its own clock.

    The capacity of a stage is summed over the time that each process was running.
    """

    def __init__(self) -> None:
        super().__init__()
        self._capacity = dict.fromkeys(STAGES, 0.0)

    def add_snapshot(self, snapshot: Snapshot) -> None:
        """Add the snapshot of a process."""
        for name, stage in snapshot.stages.items():
            self.add(name, stage.busy_seconds, stage.done)
            self._capacity[name] += stage.lanes * snapshot.seconds
            if self.seconds:
                self.stages[name].lanes = round(self._capacity[name] / self.seconds)

    def capacity(self, stage: str) -> float:
        """See `Profile.capacity`."""
        return self._capacity[stage]
