"""The record of the faces in one video: crops, as image files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.store.records.record import FRAME_ARRAYS, Record, frame_array_shapes

FACE_ARRAYS: dict[str, str] = {
    **FRAME_ARRAYS,
    "landmarks": "<f4",
    "image_bytes": "<i8",
    "images": "|u1",
}
"""Dtypes of a face record's arrays by name, in the order in which they are hashed."""

MAX_IMAGES = 1 << 31
"""Maximum total size of the images in a face record, in bytes."""


def empty_face_arrays(frames: int) -> dict[str, Any]:
    """Return the arrays of a `FaceRecord` without any valid frame, except those of its images.

    Args:
        frames: Number of rows, T.
    """
    arrays = FaceRecord._empty(frames)
    return {name: arrays[name] for name in arrays if name not in ("image_bytes", "images")}


@dataclass(frozen=True, eq=False)
class FaceRecord(Record):
    """The faces in one video as image files, or the reason that there are none; see `Record`.

    Attributes:
        landmarks: float32 (T, 5, 2); in pixels of the upright frame, zeros if the detector returns
            none.
        image_bytes: int64 (T,); size of each image file in bytes, 0 for padding.
        images: uint8 (sum of `image_bytes`,); the concatenated image files.
    """

    DTYPES = FACE_ARRAYS

    landmarks: npt.NDArray[np.float32]
    image_bytes: npt.NDArray[np.int64]
    images: npt.NDArray[np.uint8]

    @staticmethod
    @lru_cache(maxsize=8)
    def shapes(*shape: int) -> dict[str, tuple[int, ...]]:
        """See `Record`; `images` has a different size in each record."""
        (frames,) = shape
        return {**frame_array_shapes(frames), "landmarks": (frames, 5, 2), "image_bytes": (frames,)}

    @property
    def shape(self) -> tuple[int]:
        """Number of rows T, as a tuple."""
        (frames,) = self.mask.shape
        return (frames,)

    @property
    def encoded(self) -> list[memoryview]:
        """Image file of each valid frame."""
        data = np.ascontiguousarray(self.images).data
        stops = np.cumsum(self.image_bytes[: self.frames_valid]).tolist()
        return [data[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]

    @classmethod
    def _empty(cls, *shape: int) -> dict[str, Any]:
        return {**super()._empty(*shape), "images": np.zeros(0, dtype=np.uint8)}

    def _check_frames(self, valid: int) -> None:
        lengths = self.image_bytes.tolist()
        if any(not 0 < length <= MAX_IMAGES for length in lengths[:valid]) or any(lengths[valid:]):
            raise ValueError(
                f"image_bytes must be positive for the {valid} valid frames and 0 after them. "
                f"Received: {lengths}"
            )
        if self.images.dtype != np.uint8 or self.images.shape != (sum(lengths),):
            raise ValueError(
                f"images must be |u1 ({sum(lengths)},). "
                f"Received: {self.images.dtype} {self.images.shape}"
            )
        if self.images.size > MAX_IMAGES:
            raise ValueError(
                f"images must be {MAX_IMAGES} bytes or less. Received: {self.images.size}"
            )
        if not np.isfinite(self.landmarks).all() or not np.isfinite(self.boxes_xyxy).all():
            raise ValueError("boxes and landmarks must be finite")
