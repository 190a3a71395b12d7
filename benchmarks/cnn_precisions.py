"""Time the CNN in each precision, compared with float32.

python benchmarks/cnn_precisions.py --weights FILE [--backbone NAME] [--faces 16] [--rounds 6]

For the pooled features alone and for the standard evidence. The precisions alternate, and the
fastest round counts. The CPU time of all threads is printed too, because other programs on the
machine change it less. A precision that the CPU does not support is left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from evidence import best_seconds

from deepfake_seq.config import BACKBONES, INT8, PRECISIONS, STANDARD_EVIDENCE, BackboneConfig
from deepfake_seq.errors import EngineError
from deepfake_seq.extract.calibration import ranges_for
from deepfake_seq.extract.evidence import Evidence
from deepfake_seq.face_regions import FIXED_LANDMARKS

SIDE = 240


def main() -> None:
    options = _options()
    shape = (options.faces, SIDE, SIDE, 3)
    squares = list(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    landmarks = [np.float32(FIXED_LANDMARKS * SIDE)] * len(squares)
    for blocks in (("features",), STANDARD_EVIDENCE):
        calls = {}
        for precision in PRECISIONS:
            config = BackboneConfig(options.backbone, str(options.weights.absolute()), precision)
            ranges = ranges_for(config, options.weights, None) if precision == INT8 else None
            try:
                evidence = Evidence.build(blocks, "openvino", config, options.weights, ranges)
            except EngineError as error:
                print(f"without {precision}: {error}")
                continue
            inputs = evidence.prepare(squares, landmarks)
            calls[precision,] = lambda evidence=evidence, inputs=inputs: evidence.compute(inputs)
        times = best_seconds(calls, options.rounds)
        print(f"{options.backbone}: {', '.join(blocks)}")
        wall_of_float32, cpu_of_float32 = times["float32",]
        for (precision,), (wall, cpu) in times.items():
            print(
                f"  {precision:9} {options.faces / wall:6.1f} faces/s  "
                f"{wall_of_float32 / wall:4.2f} x float32; CPU time "
                f"{1e3 * cpu / options.faces:6.1f} ms a face  {cpu_of_float32 / cpu:4.2f} x"
            )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--backbone", choices=BACKBONES, default="inception_v3")
    parser.add_argument("--faces", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=6)
    return parser.parse_args()


if __name__ == "__main__":
    main()
