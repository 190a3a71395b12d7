"""What Ray costs on one machine: the same clips by the local engine and by a Ray of one node.

python benchmarks/engines.py VIDEOS [extract's other options]

Each run is a process with a store of its own, in turn with the others; the Ray engine starts a Ray
of its own. The baseline is the local engine; "work" is the time without start-up, from the profile.
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
    """Wall time of the whole command and of the work in it, in seconds."""
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
    run("local", arguments)  # so that nothing is translated or compiled while the clock runs
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
