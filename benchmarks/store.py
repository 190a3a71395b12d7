"""Time opening, reading and writing a large store, compared with plain h5py and plain files.

python benchmarks/store.py [RECORDS]

Makes a store of 50,000 records of 16×2048 (3.4 GB) in the temporary directory, and removes it. The
floors are:

- iterating: reading the same bytes (every row of every dataset of every shard) with h5py, without
  any checks, record by record and in blocks of 32 records; from the disk (after dropping the files
  from the page cache) and from the page cache, where the cost of the checks is most visible;
- one record: reading one row of features with h5py from an open file, and reading a whole shard;
- commits: writing the same bytes to a new file, with fsync, rename and fsync of the directory.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from deepfake_seq.config import SHARD_RECORDS
from deepfake_seq.store import (
    FeatureRecord,
    FeatureStore,
    Fingerprint,
    SourceFile,
    StoreDescription,
    StoreWriter,
)
from deepfake_seq.store.records.record import empty_arrays
from deepfake_seq.store.shards.encode import encode

RECORDS = 50_000
ROUNDS = 3
DESCRIPTION = StoreDescription(Fingerprint({"benchmark": True}), {})


def make_record(number: int) -> FeatureRecord:
    generator = np.random.default_rng(number)
    arrays = empty_arrays(16, 2048)
    arrays["features"][:] = generator.random((16, 2048), dtype=np.float32)
    arrays["mask"][:] = True
    arrays["frame_index"][:] = np.arange(16) * 10
    arrays["pts_seconds"][:] = np.arange(16) * 0.4
    return FeatureRecord(
        video_id=f"Celeb-synthesis/id{number:06}_id{number % 59}_0001.mp4",
        status="ok",
        reason="",
        label=number % 2,
        groups=(f"id{number % 60}", f"id{number % 59}"),
        split="",
        source=SourceFile(1_000_000 + number, 1_700_000_000_000_000_000, f"{number:064x}"),
        facts={"codec": "h264", "fps": 30.0, "width": 942, "height": 500, "frames_total": 400},
        **arrays,
    )


def fill(path: Path, count: int) -> None:
    with StoreWriter.create(path, DESCRIPTION) as writer:
        writer.claim("")
        for start in range(0, count, SHARD_RECORDS):
            stop = min(start + SHARD_RECORDS, count)
            writer.add([make_record(number) for number in range(start, stop)])


def seconds(action: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Return the median wall time of several calls in seconds."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def open_datasets(path: Path) -> Iterator[tuple[int, list[h5py.Dataset]]]:
    """Yield the number of records and the datasets of each shard."""
    for shard in sorted(path.glob("*.h5")):
        with h5py.File(shard, "r", locking=False) as file:
            rows = [file[name] for name in file if name not in ("index", "description")]
            yield len(file["features"]), rows


def plain_by_record(path: Path) -> None:
    for count, rows in open_datasets(path):
        for position in range(count):
            for dataset in rows:
                dataset[position]


def plain_by_block(path: Path) -> None:
    for count, rows in open_datasets(path):
        for start in range(0, count, 32):
            for dataset in rows:
                dataset[start : start + 32]


def iterate(path: Path) -> None:
    with FeatureStore.open(path) as store:
        for _ in store:
            pass


def batches(path: Path) -> None:
    with FeatureStore.open(path) as store:
        for _ in store.batches(64):
            pass


def open_in_new_process(path: Path) -> float:
    """Return the seconds that opening the store takes in a new process."""
    code = (
        "import sys, time; from pathlib import Path; from deepfake_seq.store import FeatureStore\n"
        "begin = time.perf_counter(); store = FeatureStore.open(Path(sys.argv[1]))\n"
        "print(time.perf_counter() - begin)"
    )
    command = [sys.executable, "-c", code, str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(output)


def drop_from_page_cache(path: Path) -> None:
    """Ask the system to drop the store from its page cache."""
    os.sync()
    for shard in path.glob("*.h5"):
        with shard.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure_reading(path: Path, count: int) -> None:
    size = sum(file.stat().st_size for file in path.glob("*.h5"))
    print(f"\n{count} records, {len(list(path.glob('*.h5')))} shards, {size / 1e9:.2f} GB")
    opening = statistics.median(open_in_new_process(path) for _ in range(5))
    print(f"open, in a new process: {opening:.3f} s")
    block = bytes(65536)
    hashing = seconds(lambda: [hashlib.sha256(block).digest() for _ in range(2000)]) / 2000
    print(f"SHA-256 of 64 KiB, one core: {1 / hashing:.0f} records/s\n")
    readers = {
        "h5py, record by record": plain_by_record,
        "h5py, 32 records at a time": plain_by_block,
        "the store, iterated": iterate,
        "the store, in batches of 64": batches,
    }
    for source in ("disk", "page cache"):
        times: dict[str, list[float]] = {name: [] for name in readers}
        for _ in range(ROUNDS):  # alternate, so that other load affects all readers equally
            for name, reader in readers.items():
                if source == "disk":
                    drop_from_page_cache(path)
                times[name].append(seconds(lambda reader=reader: reader(path), rounds=1))
        first, second, *_ = (statistics.median(values) for values in times.values())
        for name, values in times.items():
            median = statistics.median(values)
            print(
                f"from {source:10} {name:28} {count / median:7.0f} records/s"
                f"  {first / median:5.2f} x the first, {second / median:5.2f} x the second"
            )


def measure_one(path: Path) -> None:
    store = FeatureStore.open(path)
    order = np.random.default_rng(0).permutation(store.video_ids)[:2000]
    for video_id in order[:500]:
        store[video_id]
    single = seconds(lambda: [store[video_id] for video_id in order]) / len(order)
    shard = next(path.glob("*.h5"))
    with h5py.File(shard, "r", locking=False) as file:
        rows = file["features"]
        row = seconds(lambda: [rows[n] for n in range(len(rows))]) / len(rows)
        whole = seconds(lambda: rows[:])
    print(f"\none row of features with h5py          {row * 1e6:8.0f} us")
    print(f"one record of the store, checked       {single * 1e6:8.0f} us  {single / row:.1f} x")
    print(f"one whole shard with h5py              {whole * 1e6:8.0f} us  {whole / row:.1f} x")


def measure_writing(folder: Path) -> None:
    records = [make_record(number) for number in range(SHARD_RECORDS - 1)]
    data = [encode([record], DESCRIPTION) for record in records]

    def plain() -> None:
        plain_folder = Path(tempfile.mkdtemp(dir=folder))
        for number, content in enumerate(data):
            with (plain_folder / ".tmp").open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            (plain_folder / ".tmp").replace(plain_folder / f"{number}.h5")
            descriptor = os.open(plain_folder, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def commit() -> None:
        with StoreWriter.create(Path(tempfile.mkdtemp(dir=folder)), DESCRIPTION) as writer:
            for record in records:
                writer.commit(record)

    floor, taken = seconds(plain) / len(records), seconds(commit) / len(records)
    print(f"\nwrite, sync, rename, sync              {1 / floor:8.0f} records/s")
    print(
        f"commit                                 {1 / taken:8.0f} records/s  {taken / floor:.1f} x"
    )
    with StoreWriter.create(Path(tempfile.mkdtemp(dir=folder)), DESCRIPTION) as writer:
        for record in records:
            writer.commit(record)
        seal_seconds = seconds(writer.seal, rounds=1)
    print(f"sealing {len(records)} of them, with checks       {seal_seconds:8.3f} s")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "store")
        print(f"making {count} records …", file=sys.stderr)
        fill(path, count)
        measure_reading(path, count)
        measure_one(path)
        measure_writing(Path(folder))


if __name__ == "__main__":
    main()
