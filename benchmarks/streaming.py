"""Memory and time of training on a store that is larger than what training may hold in memory.

python benchmarks/streaming.py [RECORDS] [EPOCHS]

Makes a store of 50,000 records of 16×2048 (3.3 GB on the disk, in the folder for temporary files)
and fits the GRU to it for a few epochs by the ordinary command. Prints the most memory that the
process held, against the size of the features, and the time of an epoch, against that of reading
every record once.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from deepfake_seq.config import SHARD_RECORDS, ExtractConfig, ModelConfig, SplitConfig, TrainConfig
from deepfake_seq.sequence.experiment import prepare
from deepfake_seq.sequence.fit import fit
from deepfake_seq.sequence.training.ensemble import ExperimentConfig
from deepfake_seq.store import (
    FeatureRecord,
    FeatureStore,
    Fingerprint,
    SourceFile,
    StoreDescription,
    StoreWriter,
)
from deepfake_seq.store.records.record import empty_arrays

RECORDS, EPOCHS = 50_000, 2
FRAMES, WIDTH = 16, 2048


def write_store(path: Path, count: int) -> None:
    """Fakes move up a little in a hundred features; every tenth clip is real."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(64, FRAMES, WIDTH)).astype(np.float16)
    description = StoreDescription(Fingerprint({"made": "up"}), ExtractConfig().to_dict())
    with StoreWriter.create(path, description) as writer:
        shard: list[FeatureRecord] = []
        for number in range(count):
            arrays = empty_arrays(FRAMES, WIDTH)
            arrays["mask"][:] = True
            arrays["features"][:] = noise[number % 64]
            label = int(number % 10 > 0)
            arrays["features"][:, :100] += np.float16(0.5 * label + 0.1 * (number % 7))
            record = FeatureRecord(
                video_id=f"{number:06}.mp4",
                status="ok",
                reason="",
                label=label,
                groups=(f"p{number // 20}",),
                split="",
                source=SourceFile(1000, 0, f"{number:064x}"),
                **arrays,
            )
            shard.append(record)
            if len(shard) == SHARD_RECORDS or number == count - 1:
                writer.add(shard)
                shard = []


def most_memory() -> float:
    """In GB, since the process began."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    epochs = int(sys.argv[2]) if len(sys.argv) > 2 else EPOCHS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "store")
        write_store(path, count)
        store = FeatureStore.open(path)
        begin = time.perf_counter()
        for _ in store.records(store.reading_order):
            pass
        reading = time.perf_counter() - begin
        experiment = prepare(store, SplitConfig())
        recipe = ExperimentConfig(ModelConfig(), TrainConfig(epochs=1 + epochs, members=1))
        ends: list[float] = []
        result = fit(
            experiment,
            Path(folder, "run"),
            recipe,
            on_epoch=lambda *_: ends.append(time.perf_counter()),
        )
    size = count * FRAMES * WIDTH * 2 / 1e9
    epoch = (ends[-1] - ends[0]) / (len(ends) - 1)  # the first one traces the network
    held = most_memory()
    print(f"features             {size:.2f} GB in {count:,} records")
    print(f"most memory held     {held:.2f} GB, {held / size:.2f} of the features")
    print(f"reading them once    {reading:.1f} s")
    print(f"one epoch of the GRU {epoch:.1f} s, {epoch / reading:.1f} times that")
    print(f"test AUC after {len(ends)} epochs: {result.metrics['test']['auc']:.3f}")


if __name__ == "__main__":
    main()
