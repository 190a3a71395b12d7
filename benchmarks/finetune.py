"""Measure memory and time of finetuning each CNN, and of reading face caches of two sizes.

python benchmarks/finetune.py [BACKBONE ...]

Makes a face cache with 16 crops of 320 pixels per clip. For each CNN, in a separate process, prints
the maximum memory and the time of a training step on 64 frames with the CNN frozen and with its
last layers unfrozen; the floor is a forward pass of the CNN on the same frames. Then reads an epoch
of frames of 256 and of 512 clips without a CNN: the memory must not grow with their number.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from deepfake_seq import console
from deepfake_seq.config import (
    BACKBONES,
    BackboneConfig,
    ExtractConfig,
    FaceConfig,
    FinetuneConfig,
    SamplingConfig,
)
from deepfake_seq.extract.backbones.table import BACKBONE_TABLE
from deepfake_seq.extract.faces import image_codec
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.finetune.faces import load_faces
from deepfake_seq.finetune.stream import FrameStream
from deepfake_seq.store import FaceRecord, FaceStore, FaceStoreWriter, SourceFile
from deepfake_seq.store.records.face_record import empty_face_arrays

FRAMES, SIDE, STEPS = 16, 320, 3
SMALL, LARGE = 256, 512


def write_faces(path: Path, clips: int) -> None:
    """Write clips of textured noise, each with a label and a different identity."""
    config = ExtractConfig(SamplingConfig(frames=FRAMES), FaceConfig("mtcnn"))
    generator = np.random.default_rng(0)
    small = generator.integers(0, 256, (FRAMES, 40, 40, 3), dtype=np.uint8)
    files = image_codec.encode([cv2.resize(image, (SIDE, SIDE)) for image in small], "webp")
    description = resolve(_untrained(config)).faces_description
    with FaceStoreWriter.create(path, description) as writer:
        for number in range(clips):
            arrays = empty_face_arrays(FRAMES)
            arrays["mask"][:] = True
            record = FaceRecord(
                video_id=f"{number:05}.mp4",
                status="ok",
                reason="",
                label=number % 2,
                groups=(f"p{number}",),
                split="",
                source=SourceFile(1000, 0, f"{number:064x}"),
                image_bytes=np.array([len(file) for file in files], dtype=np.int64),
                images=np.frombuffer(b"".join(files), dtype=np.uint8),
                **arrays,
            )
            writer.commit(record)


def _untrained(config: ExtractConfig) -> ExtractConfig:
    return ExtractConfig(config.sampling, config.faces, BackboneConfig(weights="untrained"))


def max_memory() -> float:
    """Return the maximum resident memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def stream_of(store: Path, name: str) -> FrameStream:
    data = load_faces(FaceStore.open(store), BACKBONE_TABLE[name])
    return FrameStream(data.faces, data.data, data.frames, FinetuneConfig())


def train(store: Path, name: str) -> None:
    """Time training steps of a CNN, and print the times in seconds and the maximum memory in GB."""
    from deepfake_seq.finetune.network import FinetunableCnn

    config, row = FinetuneConfig(), BACKBONE_TABLE[name]
    cnn = FinetunableCnn(BackboneConfig(name, "untrained"), row, None, config)
    batch = next(stream_of(store, name).epoch(1))
    times = [_timed(lambda: cnn.features(batch.crops_rgb))]
    for unfrozen in (0, row.unfreeze or cnn.layers):
        cnn.begin_phase(unfrozen, 1e-5)
        times.append(_timed(lambda: cnn.step(*batch)))
    print(*times, max_memory())


def _timed(action: object) -> float:
    action()  # type: ignore[operator]  # the first call traces the network
    spans = []
    for _ in range(STEPS):
        begin = time.perf_counter()
        action()  # type: ignore[operator]
        spans.append(time.perf_counter() - begin)
    return statistics.median(spans)


def read(store: Path, name: str) -> None:
    """Read an epoch of frames, and print the frames/s and the maximum memory in GB."""
    stream = stream_of(store, name)
    begin = time.perf_counter()
    for _ in stream.epoch(1):
        pass
    print(stream.frames / (time.perf_counter() - begin), max_memory())


def _run_child(task: str, store: Path, name: str) -> list[float]:
    """Run `train` or `read` in a new process, and return the numbers that it prints."""
    command = [sys.executable, __file__, task, str(store), name]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(number) for number in result.stdout.split()]


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small"), Path(folder, "large")
        write_faces(small, SMALL)
        write_faces(large, LARGE)
        rows = [
            ["CNN", "features, s", "head, s", "ratio", "unfrozen, s", "ratio", "max. memory, GB"]
        ]
        for name in names or BACKBONES:
            floor, head, unfrozen, memory = _run_child("train", small, name)
            numbers = (floor, head, head / floor, unfrozen, unfrozen / floor, memory)
            rows.append([name, *(f"{number:.2f}" for number in numbers)])
        print(console.table(rows))
        print()
        sizes = {
            count: _run_child("read", path, "inception_v3")
            for count, path in ((SMALL, small), (LARGE, large))
        }
        for count, (speed, memory) in sizes.items():
            print(f"{count} clips: {speed:.0f} frames/s, maximum memory {memory:.2f} GB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        train(Path(sys.argv[2]), sys.argv[3])
    elif sys.argv[1:2] == ["read"]:
        read(Path(sys.argv[2]), sys.argv[3])
    else:
        main(sys.argv[1:])
