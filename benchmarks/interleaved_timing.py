"""Timing commands that take turns; shared by the benchmarks that time whole processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence


def medians(
    commands: Mapping[str, Sequence[str]], rounds: int, good: Sequence[int] = (0,)
) -> dict[str, float]:
    """The median wall time in seconds of each command, a Python process of its own each time.

    In turn, so that whatever else the machine does falls on all alike.

    Args:
        commands: Python's arguments, by the command's name.
        rounds: How often each is run.
        good: Exit codes that are no failure.
    """
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, arguments in commands.items():
            times[name].append(_seconds(arguments, good))
    return {name: statistics.median(values) for name, values in times.items()}


def _seconds(arguments: Sequence[str], good: Sequence[int]) -> float:
    begin = time.perf_counter()
    result = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    seconds = time.perf_counter() - begin
    if result.returncode not in good:
        raise SystemExit(result.stderr.decode())
    return seconds
