"""Compare the size and speed of HDF5 layouts and compression filters for features.

python benchmarks/shard_layouts.py STORE

Every layout stores the same 256 records, taken from the store and repeated if it has fewer. Files
are written to memory and read from the page cache, so that the speed of the disk has no effect. The
baseline is the first layout, contiguous and uncompressed.
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
    "contiguous, uncompressed": {},
    "1 record per chunk, uncompressed": {"chunks": 1},
    "1 record per chunk, lzf": {"chunks": 1, "compression": "lzf"},
    "1 record per chunk, shuffle + lzf": {"chunks": 1, "shuffle": True, "compression": "lzf"},
    "1 record per chunk, gzip 1": {"chunks": 1, "compression": "gzip", "compression_opts": 1},
    "1 record per chunk, shuffle + gzip 1": {
        "chunks": 1,
        "shuffle": True,
        "compression": "gzip",
        "compression_opts": 1,
    },
    "1 record per chunk, shuffle + gzip 6": {
        "chunks": 1,
        "shuffle": True,
        "compression": "gzip",
        "compression_opts": 6,
    },
    "16 records per chunk, uncompressed": {"chunks": 16},
    "16 records per chunk, shuffle + gzip 1": {
        "chunks": 16,
        "shuffle": True,
        "compression": "gzip",
        "compression_opts": 1,
    },
}


def encode(features: np.ndarray, options: dict[str, Any]) -> bytes:
    """Return the bytes of an HDF5 file with the features in one dataset."""
    options = dict(options)
    if "chunks" in options:
        options["chunks"] = (options["chunks"], *features.shape[1:])
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("v110", "v110")) as file:
        file.create_dataset("features", data=features, **options)
    return buffer.getvalue()


def seconds(action: Any) -> float:
    """Return the median wall time of several calls in seconds."""
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


def read_one_by_one(path: Path, order: np.ndarray) -> None:
    with h5py.File(path, "r", locking=False) as file:
        dataset = file["features"]
        for position in order:
            dataset[position]


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    store = FeatureStore.open(Path(sys.argv[1]))
    stored = [record.features for record in store if not record.failed]
    features = np.stack([stored[number % len(stored)] for number in range(RECORDS)])
    order = np.random.default_rng(0).permutation(RECORDS)
    megabytes = features.nbytes / 1e6
    print(f"{len(stored)} different records of {stored[0].nbytes / 1024:.0f} KiB, float16")
    print("| layout | KiB/record | ratio to uncompressed | write MB/s | read MB/s | ms/record |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shard.h5")
        for name, options in LAYOUTS.items():
            path.write_bytes(encode(features, options))
            file_bytes = path.stat().st_size
            write_seconds = seconds(lambda options=options: encode(features, options))
            read_seconds = seconds(lambda: read_all(path))
            record_seconds = seconds(lambda: read_one_by_one(path, order)) / RECORDS
            print(
                f"| {name} | {file_bytes / RECORDS / 1024:.1f} "
                f"| {file_bytes / features.nbytes:.2f} "
                f"| {megabytes / write_seconds:.0f} | {megabytes / read_seconds:.0f} "
                f"| {record_seconds * 1e3:.3f} |"
            )


if __name__ == "__main__":
    main()
