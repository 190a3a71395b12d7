"""Small face caches with crops in which the classes differ."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from records import make_faces

from deepfake_seq.config import BackboneConfig, ExtractConfig, FaceConfig, SamplingConfig
from deepfake_seq.datasets import FAKE
from deepfake_seq.extract.faces import image_codec
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.store import FaceRecord, FaceStore, FaceStoreWriter

FRAMES = 8
CONFIG = ExtractConfig(
    SamplingConfig(frames=FRAMES), FaceConfig("mtcnn"), BackboneConfig("vgg16", "untrained")
)


_MARKS = np.float32([[0.35, 0.4], [0.65, 0.4], [0.5, 0.55], [0.4, 0.7], [0.6, 0.7]])


def face_clip(name: str, label: int, seed: int, frames: int = FRAMES, **changes: Any) -> FaceRecord:
    """Make a clip of smooth noise, which is reddish in fakes."""
    generator = np.random.default_rng(seed)
    side = int(generator.integers(40, 60))
    images = [_image(generator, side, label) for _ in range(frames)]
    files = image_codec.encode(images, "webp")
    lengths = np.zeros(FRAMES, dtype=np.int64)
    lengths[:frames] = [len(file) for file in files]
    half = side / 1.3 / 2
    boxes, marks = np.zeros((FRAMES, 4), np.float32), np.zeros((FRAMES, 5, 2), np.float32)
    boxes[:frames] = [500 - half, 500 - half, 500 + half, 500 + half]
    marks[:frames] = 500 - side / 2 + _MARKS * side
    values = {
        "facts": {"width": 1000, "height": 1000, "frames_sampled": FRAMES, "faces_found": frames},
        "boxes_xyxy": boxes,
        "frame_size": np.tile(np.int32([1000, 1000]), (FRAMES, 1)),
        "landmarks": marks,
        "image_bytes": lengths,
        "images": np.frombuffer(b"".join(files), dtype=np.uint8),
        "label": label,
    }
    return make_faces(name, valid=frames, frames=FRAMES, **{**values, **changes})


def write_faces(
    path: Path, records: Iterable[FaceRecord], config: ExtractConfig = CONFIG
) -> FaceStore:
    """Write a face cache of the records, as if they had been made with `config`."""
    with FaceStoreWriter.create(path, resolve(config).faces_description) as writer:
        writer.claim("")
        for record in records:
            writer.commit(record)
    return FaceStore.open(path)


def face_store(path: Path, clips: int = 20, config: ExtractConfig = CONFIG) -> FaceStore:
    """Write a face cache of equally many real and fake clips, each of another person."""
    return write_faces(
        path,
        (
            face_clip(f"{number:03}.mp4", number % 2, number, groups=(f"person{number}",))
            for number in range(clips)
        ),
        config,
    )


def _image(generator: np.random.Generator, side: int, label: int) -> npt.NDArray[np.uint8]:
    noise = generator.integers(60, 180, (5, 5, 3), dtype=np.uint8)
    image = cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
    if label == FAKE:
        image[..., 0] = np.minimum(image[..., 0].astype(int) + 60, 255)
    return np.asarray(image)
