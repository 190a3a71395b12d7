"""Size and speed of ways to lay out and pack features in HDF5, on the features of a store.

python benchmarks/shard_layouts.py STORE

Every layout holds the same 256 records (those of the store, repeated where it has fewer). Files are
written to memory and read from the page cache, so that the disk plays no part; the last two columns
show what packing costs in time.
"""

from __future__ import annotations

import io
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from deepfake_seq.store import FeatureStore

RECORDS = 256
ROUNDS = 5
LAYOUTS: dict[str, dict[str, Any]] = {
    "one block, not packed": {},
    "a record a chunk, not packed": {"chunks": 1},
    "a record a chunk, lzf": {"chunks": 1, "compression": "lzf"},
    "a record a chunk, shuffle + lzf": {"chunks": 1, "shuffle": True, "compression": "lzf"},
    "a record a chunk, gzip 1": {"chunks": 1, "compression": "gzip", "compression_opts": 1},
    "a record a chunk, shuffle + gzip 1": {
        "chunks": 1,
        "shuffle": True,
        "compression": "gzip",
        "compression_opts": 1,
    },
    "a record a chunk, shuffle + gzip 6": {
        "chunks": 1,
        "shuffle": True,
        "compression": "gzip",
        "compression_opts": 6,
    },
    "16 records a chunk, not packed": {"chunks": 16},
    "16 records a chunk, shuffle + gzip 1": {
        "chunks": 16,
        "shuffle": True,
        "compression": "gzip",
        "compression_opts": 1,
    },
}


def encoded(features: np.ndarray, options: dict[str, Any]) -> bytes:
    options = dict(options)
    if "chunks" in options:
        options["chunks"] = (options["chunks"], *features.shape[1:])
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("v110", "v110")) as file:
        file.create_dataset("features", data=features, **options)
    return buffer.getvalue()


def seconds(action: Any) -> float:
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def read_all(path: Path) -> None:
    with h5py.File(path, "r", locking=False) as file:
        dataset = file["features"]
        for start in range(0, len(dataset), 32):
            dataset[start : start + 32]


def read_singly(path: Path, order: np.ndarray) -> None:
    with h5py.File(path, "r", locking=False) as file:
        dataset = file["features"]
        for position in order:
            dataset[position]


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    store = FeatureStore.open(Path(sys.argv[1]))
    found = [record.features for record in store if not record.failed]
    features = np.stack([found[number % len(found)] for number in range(RECORDS)])
    order = np.random.default_rng(0).permutation(RECORDS)
    size = features.nbytes / 1e6
    print(f"{len(found)} different records of {found[0].nbytes / 1024:.0f} KiB, float16")
    print("| layout | KiB a record | of plain | write MB/s | read MB/s | one record, ms |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shard.h5")
        for name, options in LAYOUTS.items():
            path.write_bytes(encoded(features, options))
            stored = path.stat().st_size
            writing = seconds(lambda options=options: encoded(features, options))
            reading = seconds(lambda: read_all(path))
            singly = seconds(lambda: read_singly(path, order)) / RECORDS
            print(
                f"| {name} | {stored / RECORDS / 1024:.1f} | {stored / features.nbytes:.2f} "
                f"| {size / writing:.0f} | {size / reading:.0f} | {singly * 1e3:.3f} |"
            )


if __name__ == "__main__":
    main()
