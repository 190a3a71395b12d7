"""Measure memory and time of training on a store that is larger than the memory it may use.

python benchmarks/streaming.py [RECORDS] [EPOCHS]

Makes a store of 50,000 records of 16×2048 (3.3 GB) in the temporary directory, and trains the GRU
on it for a few epochs. Prints the maximum memory of the process, compared with the size of the
features, and the time of an epoch, compared with that of reading every record once, the floor.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from deepfake_seq.config import SHARD_RECORDS, ExtractConfig, ModelConfig, SplitConfig, TrainConfig
from deepfake_seq.sequence.experiment import load_experiment
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
    """Write a store in which every tenth clip is real and 100 features are higher in fakes."""
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


def max_memory() -> float:
    """Return the maximum resident memory of this process so far, in GB."""
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
        read_seconds = time.perf_counter() - begin
        experiment = load_experiment(store, SplitConfig())
        config = ExperimentConfig(ModelConfig(), TrainConfig(epochs=1 + epochs, members=1))
        ends: list[float] = []
        result = fit(
            experiment,
            Path(folder, "run"),
            config,
            on_epoch=lambda *_: ends.append(time.perf_counter()),
        )
    size = count * FRAMES * WIDTH * 2 / 1e9
    epoch_seconds = (ends[-1] - ends[0]) / (len(ends) - 1)  # without the first, which warms up
    memory = max_memory()
    print(f"features             {size:.2f} GB in {count:,} records")
    print(f"maximum memory       {memory:.2f} GB, {memory / size:.2f} x the size of the features")
    print(f"floor: reading once  {read_seconds:.1f} s")
    ratio = epoch_seconds / read_seconds
    print(f"one epoch of the GRU {epoch_seconds:.1f} s, {ratio:.1f} x the floor")
    print(f"test AUC after {len(ends)} epochs: {result.metrics['test']['auc']:.3f}")


if __name__ == "__main__":
    main()
