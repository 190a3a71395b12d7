"""Time extraction from end to end, compared with its floor and with a naive loop.

python benchmarks/extraction.py CLIPS --weights FILE [--detector yunet --detector-weights FILE]
    [--precision bfloat16] [--naive 8] [--clips N]

The floor is the time of only decoding the clips plus that of only running the CNN on their faces,
each on the whole machine. It is measured for `features` alone and for the standard evidence. No
time includes start-up. With --naive N, N of the clips are also processed by a naive loop, the
baseline: seek to each frame, run MTCNN on it, call `predict` on one face.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from decode_only import DecodersWithoutResult

from deepfake_seq import datasets
from deepfake_seq.config import (
    DETECTORS,
    PRECISIONS,
    RUNTIMES,
    STANDARD_EVIDENCE,
    BackboneConfig,
    ExecutionConfig,
    ExtractConfig,
    FaceConfig,
    LimitsConfig,
    SamplingConfig,
)
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.backbones.batching import Batcher
from deepfake_seq.extract.backbones.outputs import Inputs
from deepfake_seq.extract.evidence import Evidence
from deepfake_seq.extract.extractor import Extractor
from deepfake_seq.extract.faces import build_detector
from deepfake_seq.extract.options import ExtractOptions
from deepfake_seq.extract.profiling import Profile
from deepfake_seq.extract.records.from_videos import VideoCropSource
from deepfake_seq.extract.resolve import ResolvedConfig, resolve
from deepfake_seq.extract.resume import PendingVideo, ResumableWriter
from deepfake_seq.extract.video.decoder_pool import Decoders, default_workers
from deepfake_seq.extract.worker import extract_and_commit
from deepfake_seq.extract.writers import StoreWriters


def main() -> None:
    options = _options()
    detector_weights = options.detector_weights and str(options.detector_weights)
    config = ExtractConfig(
        faces=FaceConfig(options.detector, detector_weights),
        backbone=BackboneConfig(weights=str(options.weights), precision=options.precision),
    )
    execution = ExecutionConfig(runtime=options.runtime)
    discovered = datasets.discover([options.clips_folder]).items
    items = datasets.all_items(datasets.recognise(discovered))[: options.clips]

    decoding = _decode_only(items)
    step = len(items) / max(options.naive, 1)
    sample = [items[int(step * number)] for number in range(options.naive)]
    naive = _naive(sample, options.weights) if sample else 0.0
    for blocks in (("features",), STANDARD_EVIDENCE):
        resolved = resolve(config, ExtractOptions(evidence=blocks[1:]))
        evidence = Evidence.build(
            blocks, options.runtime, config.backbone, options.weights, resolved.ranges
        )
        faces = _faces(items, resolved, evidence)
        compute = _cnn_only(faces, evidence)
        machine = _end_to_end(items, resolved, execution)
        floor, extraction = decoding + compute, machine.seconds
        print(f"{len(items)} clips, {options.detector}, {options.precision}: {', '.join(blocks)}")
        _line("decode only", decoding, floor, len(items))
        _line("CNN only", compute, floor, len(items))
        _line("floor: both", floor, floor, len(items))
        _line("extract", extraction, floor, len(items))
        for name, stage in machine.stages.items():
            print(f"    {name:8} {stage.busy_seconds:7.2f} s in {stage.lanes}, {stage.done} done")
        if sample:
            extraction = _end_to_end(sample, resolved, execution).seconds
            print(f"{len(sample)} of these clips")
            _line("naive loop", naive, extraction, len(sample))
            _line("extract", extraction, extraction, len(sample))
            print(f"extract is {naive / extraction:.1f} times as fast as the naive loop")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips_folder", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--detector", choices=DETECTORS, default="mtcnn")
    parser.add_argument("--detector-weights", type=Path)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--runtime", choices=RUNTIMES, default="openvino")
    parser.add_argument("--naive", type=int, default=0)
    parser.add_argument("--clips", type=int)
    return parser.parse_args()


def _line(what: str, seconds: float, unit: float, clips: int) -> None:
    each = seconds / clips
    print(f"  {what:12} {seconds:7.2f} s  {each:6.3f} s/clip  {seconds / unit:5.2f} x", flush=True)


def _timed(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _decode_only(items: Sequence[VideoItem]) -> float:
    workers = default_workers()
    with (
        DecodersWithoutResult(workers, SamplingConfig(), LimitsConfig()) as decoders,
        ThreadPoolExecutor(workers) as threads,
    ):
        paths = [item.path for item in items]
        list(threads.map(decoders.status_of, paths[:1] * 4 * workers))  # start-up
        return _timed(lambda: list(threads.map(decoders.status_of, paths)))


def _faces(
    items: Sequence[VideoItem], resolved: ResolvedConfig, evidence: Evidence
) -> list[Inputs]:
    """Return the prepared faces of each clip."""
    config = resolved.config
    detector = build_detector(config.faces.detector, resolved.detector_weights)
    with Decoders(default_workers(), config.sampling, LimitsConfig()) as decoders:
        crop_source = VideoCropSource(resolved, detector, evidence, decoders)
        people = [person for item in items for person in crop_source.prepare(item)]
    return [person.inputs for person in people if person.inputs]


def _cnn_only(faces: Sequence[Inputs], evidence: Evidence) -> float:
    evidence.compute(faces[0])  # start-up
    batcher: Batcher[None] = Batcher(evidence.batch)
    for inputs in faces:
        batcher.add(None, inputs)
    batches = []
    while batch := batcher.take(partial=True):
        batches.append(batch.inputs)
    return _timed(lambda: [evidence.compute(batch) for batch in batches])


def _end_to_end(
    items: Sequence[VideoItem], resolved: ResolvedConfig, execution: ExecutionConfig
) -> Profile:
    with (
        tempfile.TemporaryDirectory() as folder,
        StoreWriters.create(Path(folder, "store"), resolved) as writers,
        Extractor.build(resolved, execution, len(items)) as extractor,
    ):
        list(extractor.records(list(items[:1]) * 2 * default_workers()))  # start-up
        extractor.profile.clear()
        pending = [PendingVideo(item, 0) for item in items]
        outcomes = list(extract_and_commit(pending, extractor, ResumableWriter(writers, resolved)))
        failed = [outcome for outcome in outcomes if outcome.status not in ("ok", "partial")]
        if failed or len(outcomes) != len(items):
            raise SystemExit(f"not all clips were extracted: {failed}")
        return extractor.profile


def _naive(items: Sequence[VideoItem], weights: Path) -> float:
    """Return the seconds that a naive loop takes."""
    import cv2

    from deepfake_seq.backend import load_keras

    keras = load_keras()
    from mtcnn import MTCNN

    model = keras.applications.InceptionV3(weights=weights, include_top=False, pooling="avg")
    detector = MTCNN()

    def extract(path: Path) -> npt.NDArray[np.float32]:
        capture = cv2.VideoCapture(str(path))
        total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        rows = []
        for position in np.linspace(0, total - 1, 16).astype(int):
            capture.set(cv2.CAP_PROP_POS_FRAMES, position)
            read, image = capture.read()
            if not read:
                continue
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            faces = detector.detect_faces(image)
            if not faces:
                continue
            left, top, width, height = np.maximum(faces[0]["box"], 0)
            face = cv2.resize(image[top : top + height, left : left + width], (299, 299))
            inputs = keras.applications.inception_v3.preprocess_input(face[None].astype("float32"))
            rows.append(model.predict(inputs, verbose=0)[0])
        capture.release()
        return np.array(rows)

    extract(items[0].path)  # start-up
    return _timed(lambda: [extract(item.path) for item in items])


if __name__ == "__main__":
    main()
