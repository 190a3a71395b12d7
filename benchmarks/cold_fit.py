"""Time `deepseq fit` on 51 clips, compared with its imports and its matrix products.

python benchmarks/cold_fit.py [ROUNDS]

The clips are made up: noise, with a difference between real and fake clips that is easy to learn.
The command is run with its default options on the block `features` alone and on four blocks. The
floor is the time of the imports, plus the matrix products of all epochs that were trained, at the
rate of a large matrix product on all cores. CPU time is printed as well: it depends less on what
else the machine does.
"""

from __future__ import annotations

import csv
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from fit import matrix_rate, operations

from deepfake_seq.config import ExtractConfig
from deepfake_seq.store import (
    FeatureRecord,
    Fingerprint,
    SourceFile,
    StoreDescription,
    StoreWriter,
)
from deepfake_seq.store.records.record import empty_arrays

ROUNDS = 3
CLIPS, FRAMES = 51, 16
BLOCKS = {"features": 2048, "depths": 768, "regions": 1728, "residual": 1728}
IMPORTS = "import deepfake_seq.sequence.fit, sklearn.ensemble, matplotlib.figure"


def write_store(path: Path) -> None:
    """Write a store of 36 real and 15 fake clips of 26 people."""
    description = StoreDescription(Fingerprint({"made": "up"}), ExtractConfig().to_dict())
    with StoreWriter.create(path, description) as writer:
        writer.add([_record(number) for number in range(CLIPS)])


def _record(number: int) -> FeatureRecord:
    generator = np.random.default_rng(number)
    fake = number % 10 < 3
    values = {}
    for name, width in BLOCKS.items():
        block = generator.normal(size=(FRAMES, width)) + generator.normal(0, 0.5, width)
        block[:, :100] += 0.25 * fake
        values[name] = block.astype(np.float16)
    arrays = empty_arrays(FRAMES, BLOCKS["features"])
    arrays["mask"][:] = True
    arrays["features"][:] = values.pop("features")
    return FeatureRecord(
        video_id=f"{number:02}.mp4",
        status="ok",
        reason="",
        label=int(fake),
        groups=(f"p{number // 2}",),
        split="",
        source=SourceFile(1000, 0, f"{number:064x}"),
        facts={"evidence": {name: {} for name in values}},
        evidence=values,
        **arrays,
    )


def fit_code(store: Path, runs: Path, blocks: str) -> str:
    """Return Python code that is the command, with a new run folder each time."""
    words = ["deepseq", "fit", "--features", str(store), "--evidence", blocks, "--out"]
    return (
        "import sys, tempfile; from deepfake_seq.cli import main; "
        f"sys.argv = [*{words!r}, tempfile.mkdtemp(dir={str(runs)!r}) + '/run']; main()"
    )


def matrix_seconds(runs: Path, width: int, rate: float) -> tuple[int, float]:
    """Return the number of epochs of a run, and the seconds of their matrix products."""
    run = next(runs.glob("*/run"))
    with (run / "history.csv").open(newline="") as file:
        epochs = sum(1 for _ in csv.DictReader(file))
    with (run / "predictions.csv").open(newline="") as file:
        validation = sum(row["part"] == "validation" for row in csv.DictReader(file))
    training = validation * 4 / 5  # each of five members is validated on a fifth
    return epochs, epochs * training * operations(False, False, width) / rate


def fastest(commands: Mapping[str, str], rounds: int) -> dict[str, tuple[float, float]]:
    """Return the least wall time and the least CPU time of each code in a new process, by name.

    The processes alternate, so that other load on the machine affects all of them equally.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, code in commands.items():
            begin, used = time.perf_counter(), _cpu_seconds()
            subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
            times[name].append((time.perf_counter() - begin, _cpu_seconds() - used))
    return {
        name: (min(wall for wall, _ in rows), min(cpu for _, cpu in rows))
        for name, rows in times.items()
    }


def _cpu_seconds() -> float:
    """Return the CPU time of all ended child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "store")
        write_store(store)
        widths = {"features": BLOCKS["features"], ",".join(BLOCKS): sum(BLOCKS.values())}
        runs = {blocks: Path(folder, str(width)) for blocks, width in widths.items()}
        commands = {"imports": IMPORTS}
        for blocks, path in runs.items():
            path.mkdir()
            commands[blocks] = fit_code(store, path, blocks)
        times = fastest(commands, rounds)
        rate = matrix_rate()
        imports, cpu = times.pop("imports")
        print(
            f"imports: {imports:.2f} s, CPU {cpu:.2f} s; matrix product: {rate / 1e9:.0f} GFLOP/s"
        )
        for blocks, (seconds, cpu) in times.items():
            epochs, products = matrix_seconds(runs[blocks], widths[blocks], rate)
            floor = imports + products
            print(
                f"deepseq fit --evidence {blocks}: {seconds:.1f} s, CPU {cpu:.1f} s for {epochs} "
                f"epochs of five networks; {seconds / floor:.1f} x the floor of {floor:.1f} s"
            )


if __name__ == "__main__":
    main()
