"""Time RetinaFace in deepseq, compared with the loop over images in its own package.

python benchmarks/retinaface_batches.py [--weights retinaface.onnx] [--images 16]

Without --weights, the network gets random weights, which take the same time; this needs torch (pip
install torch). The baseline is the loop of the `retina-face` package, the floor the time of the
network's convolutions at the rate of a float32 matrix product.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.backend import load_openvino
from deepfake_seq.errors import EngineError
from deepfake_seq.extract.faces.retinaface import RetinaFaceDetector

Images = npt.NDArray[np.uint8]
HEIGHT, WIDTH = 360, 640


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--images", type=int, default=16)
    options = parser.parse_args()
    shape = (options.images, HEIGHT, WIDTH, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        weights = options.weights or _write_random(Path(folder, "retinaface.onnx"))
        work, rate = _gflop(weights), _matrix_rate()
        print(f"{WIDTH}x{HEIGHT}: {work:.1f} GFLOP per image; matrix product: {rate:.0f} GFLOP/s")
        baseline = _seconds_per_image(_package_loop(weights), images)
        _print_line("package, image by image", baseline, baseline, work / rate)
        for precision in ("float32", "bfloat16"):
            try:
                detector = RetinaFaceDetector.from_file(weights, precision)
            except EngineError as error:
                print(f"  {precision}: {error}")
                continue
            seconds = _seconds_per_image(detector.detect, images)
            _print_line(f"deepseq, {precision}", seconds, baseline, work / rate)


def _print_line(what: str, seconds: float, baseline: float, floor: float) -> None:
    print(
        f"  {what:24} {1000 * seconds:6.1f} ms/image  {baseline / seconds:4.2f} x as fast  "
        f"{seconds / floor:4.2f} x the float32 floor"
    )


def _seconds_per_image(detect: Callable[[Images], Any], images: Images) -> float:
    """Return the seconds per image in the fastest of three rounds."""
    detect(images[:2])  # warm up
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        detect(images)
        times.append(time.perf_counter() - begin)
    return min(times) / len(images)


def _package_loop(weights: Path) -> Callable[[Images], Any]:
    os.environ["DEEPFACE_BACKEND_ENGINE"] = "onnx"
    import onnxruntime
    from retinaface import RetinaFace

    session = onnxruntime.InferenceSession(str(weights))
    name = session.get_inputs()[0].name

    def detect(images: Images) -> list[Any]:
        return [
            RetinaFace.detect_faces(
                image[..., ::-1],
                model=lambda batch: session.run(None, {name: batch}),
                allow_upscaling=False,
            )
            for image in images
        ]

    return detect


def _gflop(weights: Path) -> float:
    """Count the multiplications and additions in the convolutions of one image, in billions."""
    model = load_openvino().Core().read_model(weights)
    model.reshape([1, HEIGHT, WIDTH, 3])
    total = 0
    for operation in model.get_ops():
        if operation.get_type_name() == "Convolution":
            kernel = list(operation.input(1).get_shape())
            total += (
                2 * int(np.prod(list(operation.output(0).get_shape()))) * int(np.prod(kernel[1:]))
            )
    return total / 1e9


def _matrix_rate() -> float:
    """Return the GFLOP/s of a float32 matrix product, the fastest of five."""
    matrix = np.random.default_rng(0).standard_normal((2048, 2048), dtype=np.float32)
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - begin)
    return 2 * 2048**3 / min(times) / 1e9


def _write_random(path: Path) -> Path:
    """Export the package's network with random weights, as the package exports the real one."""
    import torch
    from retinaface.model.retinaface_pth_model import RetinaFace

    torch.manual_seed(0)
    names = [f"{kind}_{stride}" for stride in (32, 16, 8) for kind in ("class", "box", "landmark")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            RetinaFace().eval(),
            (torch.zeros(1, 160, 224, 3),),
            str(path),
            input_names=["images"],
            output_names=names,
            dynamic_axes={name: {0: "n", 1: "h", 2: "w"} for name in ["images", *names]},
            dynamo=False,
        )
    return path


if __name__ == "__main__":
    main()
