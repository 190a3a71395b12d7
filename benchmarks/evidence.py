"""Time the evidence blocks, compared with the pooled features alone.

python benchmarks/evidence.py [--weights FILE] [--backbone NAME] [--precision bfloat16]
    [--runtime keras] [--faces 16] [--rounds 15] [--side 240]

Prints the time of the CNN with the pooled features alone, with each further block of the same pass,
with the residual block alone (the CNN that ends at the fine map), and with the standard set; the
time to prepare a face on one thread; and the size of each block. The sets alternate, one batch at
a time, and the fastest round counts. The CPU time of all threads is compared as well, because other
programs on the machine hardly change it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from interleaved_timing import best_seconds

from deepfake_seq.config import (
    BACKBONES,
    INT8,
    PRECISIONS,
    RUNTIMES,
    STANDARD_EVIDENCE,
    BackboneConfig,
)
from deepfake_seq.extract.backbones.outputs import Inputs
from deepfake_seq.extract.calibration import ranges_for
from deepfake_seq.extract.evidence import Evidence
from deepfake_seq.face_regions import FIXED_LANDMARKS

FRAMES = 16
SETS = (
    ("features",),
    ("features", "depths"),
    ("features", "depths", "regions"),
    ("residual",),
    STANDARD_EVIDENCE,
)


def main() -> None:
    options = _options()
    weights = str(options.weights.absolute()) if options.weights else "untrained"
    config = BackboneConfig(options.backbone, weights, options.precision)
    ranges = ranges_for(config, options.weights, None) if options.precision == INT8 else None
    evidence = {
        blocks: Evidence.build(blocks, options.runtime, config, options.weights, ranges)
        for blocks in (*SETS, ("ela",))
    }
    shape = (options.side, options.side, 3)
    squares = list(
        np.random.default_rng(0).integers(0, 256, (options.faces, *shape), dtype=np.uint8)
    )
    landmarks = [np.float32(FIXED_LANDMARKS * options.side)] * len(squares)
    inputs = {blocks: each.prepare(squares, landmarks) for blocks, each in evidence.items()}
    print(
        f"{options.backbone}, {options.precision}, {options.runtime}: {options.faces} faces of "
        f"{options.side} pixels, the fastest of {options.rounds} rounds"
    )
    print("the CNN")
    calls = {blocks: _computing(evidence[blocks], inputs[blocks]) for blocks in SETS}
    floor = _print_times(calls, options.faces, options.rounds)
    print("preparing a face on one thread")
    preparing = {blocks: _preparing(each, squares, landmarks) for blocks, each in evidence.items()}
    _print_times(preparing, options.faces, options.rounds, floor)
    print(f"size of {FRAMES} frames in float16")
    widths = evidence[STANDARD_EVIDENCE].widths | evidence["ela",].widths
    for name, width in widths.items():
        print(f"  {name:38} {width:7,} values  {2 * FRAMES * width / 1024:5.1f} KiB a video")


def _print_times(
    calls: dict[tuple[str, ...], Callable[[], object]],
    faces: int,
    rounds: int,
    floor: tuple[float, float] | None = None,
) -> tuple[float, float]:
    """Print the time per face of each call beside a floor, by default the first; return it."""
    times = best_seconds(calls, rounds)
    floor = floor or next(iter(times.values()))
    for blocks, (wall, cpu) in times.items():
        print(
            f"  {', '.join(blocks):38} {1e3 * wall / faces:7.2f} ms a face  "
            f"{wall / floor[0]:5.2f} x features; CPU time {cpu / floor[1]:5.2f} x",
            flush=True,
        )
    return floor


def _computing(evidence: Evidence, inputs: Inputs) -> Callable[[], object]:
    return lambda: compute_all(evidence, inputs)


def _preparing(
    evidence: Evidence, squares: Sequence[np.ndarray], landmarks: Sequence[np.ndarray]
) -> Callable[[], object]:
    return lambda: evidence.prepare(squares, landmarks)


def compute_all(evidence: Evidence, inputs: Inputs) -> None:
    """Compute the blocks of prepared faces in full batches."""
    count = len(next(iter(inputs.values())))
    for start in range(0, count, evidence.batch):
        stop = start + evidence.batch
        evidence.compute({name: rows[start:stop] for name, rows in inputs.items()})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--backbone", choices=BACKBONES, default=BACKBONES[0])
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--runtime", choices=RUNTIMES, default="openvino")
    parser.add_argument("--faces", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--side", type=int, default=240)
    return parser.parse_args()


if __name__ == "__main__":
    main()
