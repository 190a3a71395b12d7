"""Measure the training throughput on a CPU, compared with Keras and with matrix products.

python benchmarks/fit.py [--clips 2048] [--batch 32 128]

The timed epoch is the same as in `deepseq fit`: for each batch of clips, drawn in random order from
memory, a forward pass, a backward pass and a step of Adam. The limit is the rate of a large float32
matrix product, measured in the same run, divided by the number of operations in the matrix products
of one clip. Operations are counted in two ways: the usual estimate, with twice as many operations
in the backward pass as in the forward pass; and exactly, without the unused gradient of the inputs.
The baseline is the same network in Keras layers, compiled for KERAS_BACKEND (default: tensorflow).
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import numpy as np

from deepfake_seq.backend import load_keras
from deepfake_seq.config import ModelConfig
from deepfake_seq.sequence.data.batches import BatchLoader
from deepfake_seq.sequence.data.dataset import Clip, SequenceData
from deepfake_seq.sequence.data.features import ArrayFeatures
from deepfake_seq.sequence.data.preprocessing import Preprocessor
from deepfake_seq.sequence.training.objective import Objective, TrainingBatch
from deepfake_seq.sequence.training.trainer import build_trainer, initial_weights

FRAMES, WIDTH, UNITS = 16, 2048, (64, 32, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=2048)
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 128])
    options = parser.parse_args()
    data = _clips(options.clips)
    loader = BatchLoader.of(Preprocessor.fit(ModelConfig(), data.batches()), data)
    backend = load_keras().backend.backend()
    for bidirectional in (False, True):
        config = ModelConfig(bidirectional=bidirectional)
        usual, exact = (operations(bidirectional, count) for count in (True, False))
        print(f"{config.title}: {usual / 1e6:.1f} MFLOP per clip, {exact / 1e6:.1f} exactly")
        for batch in options.batch:
            rate = matrix_rate()
            limit = rate / usual
            print(f"  batches of {batch}; limit {limit:,.0f} clips/s at {rate / 1e9:.0f} GFLOP/s")
            baseline = 0.0
            for runtime, name in (("keras", f"Keras on {backend}"), ("numpy", "NumPy")):
                speed, start = _speed(runtime, config, loader, batch)
                baseline = baseline or speed
                print(
                    f"    {name:20} {speed:6,.0f} clips/s  {speed / limit:4.0%} of the limit "
                    f"({speed * exact / rate:4.0%} exactly)  {speed / baseline:4.2f} x Keras  "
                    f"first step after {start:.1f} s",
                    flush=True,
                )


def _clips(count: int) -> SequenceData:
    generator = np.random.default_rng(0)
    features = generator.random((count, FRAMES, WIDTH), dtype=np.float32).astype(np.float16)
    mask = np.ones((count, FRAMES), dtype=np.bool_)
    clips = tuple(Clip(str(number), number % 2) for number in range(count))
    return SequenceData(clips, ArrayFeatures(features, mask), np.arange(count), Counter())


def _speed(
    runtime: str, config: ModelConfig, loader: BatchLoader, batch: int
) -> tuple[float, float]:
    """Return the clips/s of the fastest of three epochs, and the seconds of the first step."""
    trainer = build_trainer(runtime, config, (FRAMES, WIDTH), Objective(2.0, 1e-3, 1e-3))
    trainer.start(initial_weights(config, WIDTH, 0), 0)
    generator = np.random.default_rng(0)
    times, start = [], 0.0
    for _ in range(3):
        begin = time.perf_counter()
        for inputs, positions in loader.epoch(batch, generator, balanced=False):
            labels = loader.data.labels[positions]
            weights = np.ones(len(labels), dtype=np.float32)
            trainer.step(TrainingBatch(inputs, labels.astype(np.float32), weights, batch))
            start = start or time.perf_counter() - begin
        times.append(time.perf_counter() - begin)
    return len(loader) / min(times), start


def operations(bidirectional: bool, usual: bool, width: int = WIDTH) -> float:
    """Count the operations in the matrix products of one training step for one clip.

    Args:
        bidirectional: Whether the layers read the frames in both directions.
        usual: Whether to count the unused gradient of the inputs.
        width: Number of features.
    """
    total, ways = 0.0, 1 + bidirectional
    for number, units in enumerate(UNITS):
        inputs, recurrent = (ways * 2 * FRAMES * 3 * units * size for size in (width, units))
        # Forward pass, gradient of the weights, gradient of the inputs.
        total += (3 if usual or number else 2) * inputs + 3 * recurrent
        width = ways * units
    return total


def matrix_rate() -> float:
    """Return the operations/s of a float32 matrix product, the fastest of five."""
    matrix = np.random.default_rng(0).standard_normal((2048, 2048), dtype=np.float32)
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - begin)
    return 2 * 2048**3 / min(times)


if __name__ == "__main__":
    main()
