"""Encoding and decoding of face crops as image files, the content of the face cache."""

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

# What Pillow raises on damaged bytes, apart from warnings that were turned into errors.
_BROKEN = (*DAMAGE, IndexError, SyntaxError, struct.error, zlib.error, Image.DecompressionBombError)

MAX_SIDE = 8192
"""Maximum side of a crop in pixels: twice the side of a face that fills a 4K frame."""

_ENCODINGS: dict[str, dict[str, Any]] = {
    "webp": {"lossless": True, "quality": 0, "method": 0},  # the fastest; see benchmarks/faces.py
    "png": {"compress_level": 1},
    "jpeg": {"quality": 95, "subsampling": 0},
}


def encode(images_rgb: Images, image_format: str) -> list[bytes]:
    """Encode each image as a file.

    Args:
        images_rgb: uint8 (S, S, 3) each; S may differ.
        image_format: One of `config.FACE_FORMATS`.
    """
    return [_encoded(image, image_format) for image in images_rgb]


def decode(files: Sequence[bytes | memoryview]) -> Images:
    """Decode files written by `encode`; return images uint8 (S, S, 3) in RGB.

    Args:
        files: The files; untrusted input.

    Raises:
        StoreError: A file is not a square RGB image, or the images are too large.
    """
    images: Images = []
    bytes_left = MAX_IMAGES
    for file in files:
        images.append(_decoded(file, bytes_left))
        bytes_left -= images[-1].nbytes
    return images


def _encoded(image_rgb: npt.NDArray[np.uint8], image_format: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image_rgb).save(buffer, image_format, **_ENCODINGS[image_format])
    return buffer.getvalue()


def _decoded(file: bytes | memoryview, max_bytes: int) -> npt.NDArray[np.uint8]:
    try:
        # The size is checked before any pixel is decoded.
        with Image.open(io.BytesIO(file), formats=tuple(_ENCODINGS)) as image:
            width, height = image.size
            if image.mode != "RGB" or width != height or width > MAX_SIDE:
                raise StoreError(
                    f"a cached face must be a square RGB image of up to {MAX_SIDE} pixels. "
                    f"Received: {image.mode} {width}×{height}"
                )
            if 3 * width * height > max_bytes:
                raise StoreError(f"the cached faces of a clip exceed {MAX_IMAGES} bytes")
            return np.asarray(image)
    except (*_BROKEN, Warning) as error:
        raise StoreError(f"a cached face cannot be read: {error}") from error
