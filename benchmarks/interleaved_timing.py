"""Time commands or functions that alternate; shared by several benchmarks."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

_Name = TypeVar("_Name")


def median_seconds(
    commands: Mapping[str, Sequence[str]], rounds: int, accepted: Sequence[int] = (0,)
) -> dict[str, float]:
    """Return the median wall time in seconds of each command, by name.

    The commands alternate, so that other load on the machine affects all of them equally.

    Args:
        commands: Arguments of the Python interpreter, by the name of the command.
        rounds: Number of runs of each command.
        accepted: Exit codes that do not count as a failure.
    """
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, arguments in commands.items():
            times[name].append(_seconds(arguments, accepted))
    return {name: statistics.median(values) for name, values in times.items()}


def _seconds(arguments: Sequence[str], accepted: Sequence[int]) -> float:
    begin = time.perf_counter()
    result = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    seconds = time.perf_counter() - begin
    if result.returncode not in accepted:
        raise SystemExit(result.stderr.decode())
    return seconds


def best_seconds(
    calls: Mapping[_Name, Callable[[], object]], rounds: int
) -> dict[_Name, tuple[float, float]]:
    """Return the least wall and CPU seconds of several calls of each function, which alternate."""
    for call in calls.values():
        call()  # start-up
    times: dict[_Name, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: (min(wall for wall, _ in values), min(cpu for _, cpu in values))
        for name, values in times.items()
    }
