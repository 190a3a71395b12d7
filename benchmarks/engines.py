"""Measure the overhead of Ray on one machine: the Ray engine compared with the local engine.

python benchmarks/engines.py VIDEOS [further options of `deepseq extract`]

Each run is a new process with a new store, and the engines alternate. The Ray engine starts a
cluster of one node. The baseline is the local engine; "work" is the time without start-up, taken
from the profile.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 3
ENGINES = ("local", "ray")


def run(engine: str, arguments: list[str]) -> tuple[float, float]:
    """Extract, and return the wall time of the whole command and of the work in it, in seconds."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "deepfake_seq", "extract", *arguments]
        command += ["--engine", engine, "--out", out, "--json", "--profile"]
        command += ["--address", "local"] if engine == "ray" else []
        begin = time.perf_counter()
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - begin
    if result.returncode not in (0, 3):  # 3: some videos failed
        raise SystemExit(result.stderr)
    return seconds, json.loads(result.stdout)["profile"]["seconds"]


def main() -> None:
    arguments = sys.argv[1:]
    run("local", arguments)  # warm up: exported networks and compiled modules are cached
    times: dict[str, list[tuple[float, float]]] = {engine: [] for engine in ENGINES}
    for _ in range(ROUNDS):
        for engine in ENGINES:
            times[engine].append(run(engine, arguments))
    walls = {name: statistics.median(wall for wall, _ in runs) for name, runs in times.items()}
    works = {name: statistics.median(work for _, work in runs) for name, runs in times.items()}
    for name in ENGINES:
        print(
            f"{name:6} whole {walls[name]:6.1f} s  {walls[name] / walls['local']:.2f} x"
            f"   work {works[name]:6.1f} s  {works[name] / works['local']:.2f} x"
        )


if __name__ == "__main__":
    main()
