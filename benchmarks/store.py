"""How fast a large store opens, is read and is written, beside plain h5py and plain files.

python benchmarks/store.py [RECORDS]

Makes a store of 50,000 records of 16×2048 (3.4 GB) in the temporary directory, and removes it. The
floors:

- iterating: the same bytes (every row of every data set of every shard) read with h5py record by
  record, and in blocks of 32 records, by which h5py checks nothing; from the disk (after the system
  was told to forget the files) and from the page cache, where the cost of the checks shows most;
- one record: one `h5py` read of a chunk from an open file, and reading the whole shard;
- commits: the same bytes written to a new file, synced and renamed, and the directory synced.
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
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def datasets(path: Path) -> Iterator[tuple[int, list[h5py.Dataset]]]:
    for shard in sorted(path.glob("*.h5")):
        with h5py.File(shard, "r", locking=False) as file:
            rows = [file[name] for name in file if name not in ("index", "description")]
            yield len(file["features"]), rows


def plain_by_record(path: Path) -> None:
    for count, rows in datasets(path):
        for position in range(count):
            for dataset in rows:
                dataset[position]


def plain_by_block(path: Path) -> None:
    for count, rows in datasets(path):
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


def opened_in_a_new_process(path: Path) -> float:
    code = (
        "import sys, time; from pathlib import Path; from deepfake_seq.store import FeatureStore\n"
        "begin = time.perf_counter(); store = FeatureStore.open(Path(sys.argv[1]))\n"
        "print(time.perf_counter() - begin)"
    )
    command = [sys.executable, "-c", code, str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(output)


def forget(path: Path) -> None:
    """Tell the system to drop the store from its page cache."""
    os.sync()
    for shard in path.glob("*.h5"):
        with shard.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure_reading(path: Path, count: int) -> None:
    size = sum(file.stat().st_size for file in path.glob("*.h5"))
    print(f"\n{count} records, {len(list(path.glob('*.h5')))} shards, {size / 1e9:.2f} GB")
    opening = statistics.median(opened_in_a_new_process(path) for _ in range(5))
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
        for _ in range(ROUNDS):  # in turn, so that other load falls on all alike
            for name, reader in readers.items():
                if source == "disk":
                    forget(path)
                times[name].append(seconds(lambda reader=reader: reader(path), rounds=1))
        first, second, *_ = (statistics.median(values) for values in times.values())
        for name, values in times.items():
            took = statistics.median(values)
            print(
                f"from {source:10} {name:28} {count / took:7.0f} records/s"
                f"  {first / took:5.2f} of the first, {second / took:5.2f} of the second"
            )


def measure_one(path: Path) -> None:
    store = FeatureStore.open(path)
    order = np.random.default_rng(0).permutation(store.video_ids)[:2000]
    for video_id in order[:500]:
        store[video_id]
    own = seconds(lambda: [store[video_id] for video_id in order]) / len(order)
    shard = next(path.glob("*.h5"))
    with h5py.File(shard, "r", locking=False) as file:
        rows = file["features"]
        chunk = seconds(lambda: [rows[n] for n in range(len(rows))]) / len(rows)
        whole = seconds(lambda: rows[:])
    print(f"\none chunk with h5py                    {chunk * 1e6:8.0f} us")
    print(f"one record of the store, any, checked  {own * 1e6:8.0f} us  {own / chunk:.1f} x")
    print(f"one whole shard with h5py              {whole * 1e6:8.0f} us  {whole / chunk:.1f} x")


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

    def own() -> None:
        with StoreWriter.create(Path(tempfile.mkdtemp(dir=folder)), DESCRIPTION) as writer:
            for record in records:
                writer.commit(record)

    floor, took = seconds(plain) / len(records), seconds(own) / len(records)
    print(f"\nwrite, sync, rename, sync              {1 / floor:8.0f} records/s")
    print(f"commit                                 {1 / took:8.0f} records/s  {took / floor:.1f} x")
    with StoreWriter.create(Path(tempfile.mkdtemp(dir=folder)), DESCRIPTION) as writer:
        for record in records:
            writer.commit(record)
        sealing = seconds(writer.seal, rounds=1)
    print(f"sealing {len(records)} of them, checks included   {sealing:8.3f} s")


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
