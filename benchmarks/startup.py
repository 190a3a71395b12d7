"""How long `deepseq --help` takes, beside what Python and click take alone.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 15


def seconds(*arguments: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - begin


def main() -> None:
    commands = {
        "python -c 'import click'": ("-c", "import click"),
        "deepseq --help": ("-m", "deepfake_seq", "--help"),
        "deepseq extract --help": ("-m", "deepfake_seq", "extract", "--help"),
    }
    # In turn, so that whatever else the machine does falls on all alike.
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, arguments in commands.items():
            times[name].append(seconds(*arguments))
    floor = statistics.median(times["python -c 'import click'"])
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"{name:28} {middle:.3f} s  {middle - floor:+.3f} s  {middle / floor:.2f} x")


if __name__ == "__main__":
    main()
