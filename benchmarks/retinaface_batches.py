"""Time RetinaFace in deepseq, compared with the loop over images in its own package and the CNN.

python benchmarks/retinaface_batches.py [--weights retinaface.onnx] [--images 16] [--rounds 3]
    [--also yunet=FILE] [--also retinaface-mobile=FILE] [--precision float32]

Without --weights, the network gets random weights, which take the same time; this needs torch (pip
install torch). The baseline of the first table is the loop of the `retina-face` package, the floor
the time of the network's convolutions at the rate of a float32 matrix product.

The second table compares detection in the frames of one video, of one person, with passes of
InceptionV3 (untrained) on as many faces, all in --precision except yunet, which knows only float32.
The networks run on noise; a known face takes the place of what they find, so that as many windows
are searched as in a real video. All rows alternate, and the fastest round counts. The CPU time of
all threads is compared as well, because other programs on the machine hardly change it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from interleaved_timing import best_seconds

from deepfake_seq.backend import load_openvino
from deepfake_seq.config import INT8, PRECISIONS, RETINAFACES, UNTRAINED, BackboneConfig
from deepfake_seq.errors import EngineError
from deepfake_seq.extract.calibration import detector_ranges_for, ranges_for
from deepfake_seq.extract.evidence import Evidence
from deepfake_seq.extract.faces import Face, FaceDetector, build_detector, detect_scaled
from deepfake_seq.extract.faces.windowed_detection import FIRST_SHARE, detect_in_windows
from deepfake_seq.extract.faces.windows import WINDOW
from deepfake_seq.face_regions import FIXED_LANDMARKS

Images = npt.NDArray[np.uint8]
HEIGHT, WIDTH = 360, 640


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--also", metavar="DETECTOR=FILE", action="append", default=[])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    options = parser.parse_args()
    shape = (options.images, HEIGHT, WIDTH, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        weights = options.weights or _write_random(Path(folder, "retinaface.onnx"))
        work, rate = _gflop(weights), _matrix_rate()
        print(f"{WIDTH}x{HEIGHT}: {work:.1f} GFLOP per image; matrix product: {rate:.0f} GFLOP/s")
        baseline = _seconds_per_image(_package_loop(weights), images)
        _print_line("package, image by image", baseline, baseline, work / rate)
        for precision in ("float32", "bfloat16", INT8):
            try:
                detector = _detector("retinaface", weights, precision)
            except EngineError as error:
                print(f"  {precision}: {error}")
                continue
            seconds = _seconds_per_image(detector.detect, images)
            _print_line(f"deepseq, {precision}", seconds, baseline, work / rate)
        others = dict(each.split("=", 1) for each in options.also)
        networks = {"retinaface": weights, **others}
        _compare_with_cnn(networks, images, options.rounds, options.precision)


def _compare_with_cnn(
    networks: dict[str, str | Path], images: Images, rounds: int, precision: str
) -> None:
    """Print the time of detection in the frames of a video beside that of the CNN on its faces."""
    count = len(images)
    cnn = f"{count} passes of inception_v3"
    calls: dict[str, Callable[[], Any]] = {cnn: _cnn(count, precision)}
    for name, weights in networks.items():
        detector = OneFace(_detector(name, Path(weights), precision))
        calls[f"{name}, every-frame"] = partial(detect_scaled, detector, images, HEIGHT)
        calls[f"{name}, windows"] = partial(
            detect_in_windows, detector, images, HEIGHT, round(FIRST_SHARE * HEIGHT)
        )
    print(f"{count} frames of {WIDTH}x{HEIGHT}, one person, {precision}")
    times = best_seconds(calls, rounds)
    for what, (wall, cpu) in times.items():
        print(
            f"  {what:30} {1000 * wall:7.0f} ms  {wall / times[cnn][0]:5.2f} x the CNN; "
            f"CPU time {cpu / times[cnn][1]:5.2f} x"
        )


def _detector(name: str, weights: Path, precision: str) -> FaceDetector:
    ranges = None
    if precision == INT8 and name in RETINAFACES:
        ranges = detector_ranges_for(name, weights, None)
    return build_detector(name, weights, precision, ranges)


def _cnn(count: int, precision: str) -> Callable[[], Any]:
    config = BackboneConfig(weights=UNTRAINED, precision=precision)
    ranges = ranges_for(config, None, None) if precision == INT8 else None
    evidence = Evidence.build(("features",), "openvino", config, None, ranges)
    squares = np.random.default_rng(0).integers(0, 256, (count, 299, 299, 3), dtype=np.uint8)
    landmarks = [np.float32(FIXED_LANDMARKS * 299)] * count
    inputs = evidence.prepare(list(squares), landmarks)
    return partial(evidence.compute, inputs)


class OneFace:
    """Takes the time of a detector, and returns one face in the middle of each image.

    Its side is a quarter of the short side of a frame, and fits in a window.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector

    def detect(self, images_rgb: Images) -> list[list[Face]]:
        """See `FaceDetector.detect`."""
        self._detector.detect(images_rgb)
        height, width = images_rgb.shape[1:3]
        half = height / WINDOW / 2 if height == width else height / 8
        centre = np.array([width, height], dtype=np.float32) / 2
        box = np.concatenate([centre - half, centre + half]).astype(np.float32)
        return [[Face(box, 1.0)] for _ in images_rgb]


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
