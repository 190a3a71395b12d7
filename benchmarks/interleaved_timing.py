"""Time interleaved commands; shared by the benchmarks that time whole processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence


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
