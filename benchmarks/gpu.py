"""Measure both stages on Keras's JAX backend, compared with the device's matrix products.

python benchmarks/gpu.py [--images 2048] [--batch 16 128 256] [--videos 8192]

Needs jax (for a GPU: pip install "jax[cuda12]") and no TensorFlow. Prints the images/s of
InceptionV3 and the videos/s of training the GRU and the BiGRU, each with its share of the measured
rate of a matrix product on the same device, the limit. The default sizes are smaller on a CPU, so
that the program ends within a few minutes.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numpy as np

os.environ["KERAS_BACKEND"] = "jax"

GFLOP_PER_IMAGE = 11.5  # InceptionV3 at 299x299: 5.7 billion multiplications with their additions
UNITS = (64, 32, 16)
FRAMES, WIDTH = 16, 2048


def main() -> None:
    import jax
    import keras

    device = jax.devices()[0]
    on_gpu = device.platform == "gpu"
    options = _options(on_gpu)
    versions = f"jax {jax.__version__}, keras {keras.__version__}"
    print(f"{device.device_kind} ({device.platform}); {versions}")
    rates = {name: _matrix_rate(name, 8192 if on_gpu else 2048) for name in _dtypes(on_gpu)}
    for name, rate in rates.items():
        print(f"  matrix product, {name:9} {rate:10,.0f} GFLOP/s")
    print("stage 1: InceptionV3")
    for precision in _dtypes(on_gpu):
        for batch in options.batch:
            _stage_1(precision, batch, options.images, rates[precision])
    print("stage 2: training")
    for bidirectional in (False, True):
        for batch in options.clips:
            _stage_2(bidirectional, batch, options.videos, rates["float32"])


def _options(on_gpu: bool) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2048 if on_gpu else 32)
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 128, 256] if on_gpu else [16])
    parser.add_argument("--videos", type=int, default=8192 if on_gpu else 1024)
    parser.add_argument("--clips", type=int, nargs="+", default=[32, 256, 1024] if on_gpu else [32])
    return parser.parse_args()


def _dtypes(on_gpu: bool) -> list[str]:
    return ["float32", "bfloat16"] if on_gpu else ["float32"]


def _matrix_rate(dtype: str, side: int) -> float:
    """Return the GFLOP/s of a matrix product in XLA, the fastest of five."""
    import jax
    import jax.numpy as jnp

    matrix = jnp.asarray(np.random.default_rng(0).standard_normal((side, side)), dtype=dtype)
    product = jax.jit(lambda one, other: one @ other)
    return 2 * side**3 / _best(lambda: product(matrix, matrix).block_until_ready(), 5) / 1e9


def _best(call: Callable[[], object], rounds: int = 3) -> float:
    """Return the seconds of the fastest of several calls, after one that compiles."""
    call()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def _stage_1(precision: str, batch: int, images: int, rate: float) -> None:
    from deepfake_seq.config import BackboneConfig
    from deepfake_seq.extract.backbones.keras import KerasRuntime

    config = BackboneConfig(weights="untrained", precision=precision)
    runtime = KerasRuntime(config, None, batch=batch)
    shape = (max(images // batch, 1) * batch, 299, 299, 3)
    crops = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    speed = len(crops) / _best(lambda: runtime.features(crops), 2)
    share = speed * GFLOP_PER_IMAGE / rate
    print(
        f"  {precision:9} batches of {batch:4}: {speed:8,.1f} images/s, "
        f"{speed / 16:7,.2f} videos/s, {share:.0%} of the matrix products' rate",
        flush=True,
    )


def _stage_2(bidirectional: bool, batch: int, videos: int, rate: float) -> None:
    from deepfake_seq.config import ModelConfig
    from deepfake_seq.sequence.data.preprocessing import Inputs
    from deepfake_seq.sequence.training.objective import Objective, TrainingBatch
    from deepfake_seq.sequence.training.trainer import build_trainer, initial_weights

    config = ModelConfig(bidirectional=bidirectional, wide=False)
    trainer = build_trainer("keras", config, (FRAMES, WIDTH), Objective(2.0, 1e-3))
    trainer.start(initial_weights(config, WIDTH, 0), 0)
    generator = np.random.default_rng(0)
    inputs = Inputs(
        generator.standard_normal((batch, FRAMES, WIDTH), dtype=np.float32),
        np.ones((batch, FRAMES), dtype=np.bool_),
        np.zeros((batch, 0), dtype=np.float32),
    )
    targets = (np.arange(batch) % 2).astype(np.float32)
    clips = TrainingBatch(inputs, targets, np.ones(batch, dtype=np.float32), batch)

    def epoch() -> None:
        for _ in range(max(videos // batch, 1)):
            trainer.step(clips)

    speed = max(videos // batch, 1) * batch / _best(epoch, 2)
    share = speed * training_gflop(bidirectional) / rate
    print(
        f"  {config.title:5} batches of {batch:4}: {speed:9,.0f} videos/s, "
        f"{share:.0%} of the matrix products' rate",
        flush=True,
    )


def training_gflop(bidirectional: bool) -> float:
    """Count the operations in the matrix products of one step for one video, in billions.

    The usual estimate of three times the forward pass: the backward pass computes the gradients of
    the weights and of the inputs. It counts the gradient of the first layer's inputs, which is not
    needed.
    """
    total, width, ways = 0, WIDTH, 1 + bidirectional
    for units in UNITS:
        total += ways * 2 * FRAMES * 3 * units * (width + units)
        width = ways * units
    return 3 * total / 1e9


if __name__ == "__main__":
    main()
