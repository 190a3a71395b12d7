"""Copy a face cache with smaller, more strongly compressed crops.

Crops wider than 160 pixels are reduced to that width, and all go through JPEG at quality 80. With
`deepseq extract --from-faces OUT` and `deepseq fit --folds`, models are compared on clips that all
look alike in these two respects.

    python benchmarks/reduced_faces.py STORE OUT
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from deepfake_seq.augment.degradation import jpeg
from deepfake_seq.extract.faces import image_codec
from deepfake_seq.store import FaceRecord, open_faces
from deepfake_seq.store.writer import FaceStoreWriter

SIDE = 160  # pixels
QUALITY = 80


def reduced(record: FaceRecord) -> FaceRecord:
    """Return a record with reduced crops, as if its frames had been that much smaller."""
    images = image_codec.decode(record.encoded)
    scales = np.ones(len(record.mask))
    for row, image in enumerate(images):
        side = min(SIDE, len(image))
        scales[row] = side / len(image)
        small = np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        (images[row],) = jpeg([small], QUALITY)
    files = image_codec.encode(images, "webp")
    sizes = np.zeros(len(record.mask), dtype=np.int64)
    sizes[: len(files)] = [len(file) for file in files]
    return replace(
        record,
        boxes_xyxy=(record.boxes_xyxy * scales[:, None]).astype(np.float32),
        landmarks=(record.landmarks * scales[:, None, None]).astype(np.float32),
        frame_size=(record.sizes * scales[:, None]).round().astype(np.int32),
        image_bytes=sizes,
        images=np.frombuffer(b"".join(files), dtype=np.uint8),
    )


def main() -> None:
    """Copy all records."""
    source = open_faces(Path(sys.argv[1]))
    with FaceStoreWriter.create(Path(sys.argv[2]), source.description) as writer:
        for record in source:
            writer.commit(reduced(record))


if __name__ == "__main__":
    main()
