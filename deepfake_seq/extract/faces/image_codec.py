"""Crops of faces as image files, and back: the content of the face cache."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from deepfake_seq.errors import StoreError
from deepfake_seq.store.records.face_record import MAX_IMAGES
from deepfake_seq.store.shards.guard import DAMAGE

Images = list[npt.NDArray[np.uint8]]

# What Pillow raises on damaged bytes, beside warnings that were made errors.
_BROKEN = (*DAMAGE, IndexError, SyntaxError, struct.error, zlib.error, Image.DecompressionBombError)

MAX_SIDE = 8192
"""Of a crop, in pixels: twice that of a frame that is filled by a face in 4K."""

_ENCODINGS: dict[str, dict[str, Any]] = {
    "webp": {"lossless": True, "quality": 0, "method": 0},  # the quickest; benchmarks/faces.py
    "png": {"compress_level": 1},
    "jpeg": {"quality": 95, "subsampling": 0},
}


def encode(images_rgb: Images, image_format: str) -> list[bytes]:
    """Each image as a file.

    Args:
        images_rgb: uint8 (S, S, 3) each; S may differ.
        image_format: One of `config.FACE_FORMATS`.
    """
    return [_encoded(image, image_format) for image in images_rgb]


def decode(files: Sequence[bytes | memoryview]) -> Images:
    """The images that `encode` made files of, uint8 (S, S, 3) RGB each.

    Raises:
        StoreError: One is no square colour image, or they are too large. They may come from
            anybody.
    """
    images: Images = []
    left = MAX_IMAGES
    for file in files:
        images.append(_decoded(file, left))
        left -= images[-1].nbytes
    return images


def _encoded(image_rgb: npt.NDArray[np.uint8], image_format: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image_rgb).save(buffer, image_format, **_ENCODINGS[image_format])
    return buffer.getvalue()


def _decoded(file: bytes | memoryview, most_bytes: int) -> npt.NDArray[np.uint8]:
    try:
        # No pixel is unpacked before the size is known.
        with Image.open(io.BytesIO(file), formats=tuple(_ENCODINGS)) as image:
            width, height = image.size
            if image.mode != "RGB" or width != height or width > MAX_SIDE:
                raise StoreError(
                    f"a cached face must be a square of RGB up to {MAX_SIDE} pixels. Received: "
                    f"{image.mode} {width}×{height}"
                )
            if 3 * width * height > most_bytes:
                raise StoreError(f"cached faces of a clip are larger than {MAX_IMAGES} bytes")
            return np.asarray(image)
    except (*_BROKEN, Warning) as error:
        raise StoreError(f"a cached face cannot be read: {error}") from error
