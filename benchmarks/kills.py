"""Kill the writer of a store at random moments, and count lost or torn records.

python benchmarks/kills.py [KILLS]

A process writes records of 16×2048 and is killed (SIGKILL) at a random moment, again and again.
After each kill the store is read in full: every committed record must exist, and every record must
equal one that was written. The next writer continues with the same store. A store that is completed
in this way must equal one whose writer was never killed. Fails if a record is lost or torn.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepfake_seq.store import (
    FeatureRecord,
    FeatureStore,
    Fingerprint,
    SourceFile,
    StoreDescription,
    StoreWriter,
)
from deepfake_seq.store.records.record import empty_arrays

KILLS = 500
RECORDS = 40
SHARD_RECORDS = 16
DESCRIPTION = StoreDescription(Fingerprint({"benchmark": True}), {})


def make_record(number: int) -> FeatureRecord:
    arrays = empty_arrays(16, 2048)
    arrays["features"][:] = np.random.default_rng(number).random((16, 2048), dtype=np.float32)
    arrays["mask"][:] = True
    source = SourceFile(number, number, f"{number:064x}")
    return FeatureRecord(
        f"{number:03}.mp4", "ok", "", **arrays, label=0, groups=(), split="", source=source
    )


def write(path: Path, acknowledge: int | None = None) -> None:
    """Complete the store; write the number of each committed record to a descriptor."""
    with StoreWriter.create(path, DESCRIPTION, SHARD_RECORDS) as writer:
        for number in range(RECORDS):
            record = make_record(number)
            if record.video_id not in writer:
                writer.commit(record)
                if acknowledge is not None:
                    os.write(acknowledge, bytes([number]))
            elif number % 10 == 0 and writer[record.video_id].label == 0:
                writer.commit(replace(record, label=1))
        writer.seal()


def contents(path: Path) -> dict[str, bytes]:
    """Return the SHA-256 of each record's content without its revision, by video id."""
    if not (path / "store.json").exists():
        return {}
    with FeatureStore.open(path) as store:
        return {record.video_id: replace(record, revision=1).sha256 for record in store}


def kill_writer(path: Path, after: float) -> tuple[bool, set[int]]:
    """Kill a writer after some seconds; return whether it was killed, and what it committed."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            write(path, writing)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(reading, "rb") as pipe:
        committed = set(pipe.read())
    if code not in (0, -signal.SIGKILL):
        sys.exit(f"the writer failed without being killed, with exit code {code}")
    return code != 0, committed


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    generator = random.Random(0)
    possible = {
        replace(make_record(number), label=label).sha256
        for number in range(RECORDS)
        for label in (0, 1)
    }
    done = lost = torn = completed = 0
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        write(Path(folder, "whole"))
        write(Path(folder, "whole"))
        duration = time.monotonic() - begin
        expected = contents(Path(folder, "whole"))
        path, committed = Path(folder, "0"), set[int]()
        while done < kills:
            was_killed, numbers = kill_writer(path, generator.uniform(0, duration / 2))
            done += was_killed
            committed |= numbers
            digests = contents(path)
            lost += sum(f"{number:03}.mp4" not in digests for number in committed)
            torn += sum(digest not in possible for digest in digests.values())
            if not was_killed:
                write(path)
                completed += 1
                if contents(path) != expected:
                    sys.exit("a store that was resumed differs from one that was not interrupted")
                path, committed = Path(folder, f"{completed}"), set()
    print(
        f"{done} kills: {lost} committed records lost, {torn} torn records read; {completed} "
        f"stores of {RECORDS} records completed, all equal to the uninterrupted one"
    )
    sys.exit(bool(lost or torn))


if __name__ == "__main__":
    main()
