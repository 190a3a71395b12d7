"""What is kept of one video: of whatever kind, and the features of its face."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from deepfake_seq.store.records.metadata import (
    ASSIGNED_FACTS,
    FAILED_STATUSES,
    MAX_METADATA,
    STATUSES,
    SourceFile,
    check_metadata,
    decode_metadata,
    encode_metadata,
)

__all__ = [
    "ARRAYS",
    "ASSIGNED_FACTS",
    "FAILED_STATUSES",
    "MAX_METADATA",
    "SEEN_ARRAYS",
    "STATUSES",
    "FeatureRecord",
    "Record",
    "SourceFile",
    "canonical_bytes",
    "digest",
    "empty_arrays",
    "sha256_of",
    "shapes_seen",
]

SEEN_ARRAYS: dict[str, str] = {
    "mask": "|b1",
    "frame_index": "<i8",
    "pts_seconds": "<f8",
    "boxes_xyxy": "<f4",
    "scores": "<f4",
}
"""The arrays that tell where and when a face is seen, and their dtypes."""

ARRAYS: dict[str, str] = {**SEEN_ARRAYS, "features": "<f2"}
"""The arrays of a feature record and their dtypes, in the order in which they are hashed."""

_INFINITE = 0x7C00
"""The exponent bits of a float16: all of them set means infinity or NaN."""


@dataclass(frozen=True, eq=False)
class Record(ABC):
    """What is kept of one video, or why there is nothing; see `FeatureRecord` and `FaceRecord`.

    Rows of the arrays are sampled frames. Valid frames come first, in order of time; the rows after
    them are padding, all zeros (`frame_index` -1), and mean nothing.

    Attributes:
        video_id: The video's path relative to its root, with forward slashes.
        status: A key of `STATUSES`.
        reason: Why the status is not `ok`; "" otherwise.
        mask: bool (T,); True where a row holds a frame that shows the face.
        frame_index: int64 (T,); the frame's number in order of presentation.
        pts_seconds: float64 (T,); its presentation time.
        boxes_xyxy: float32 (T, 4); the face in pixels of the upright frame.
        scores: float32 (T,); the detector's confidence.
        label: 1 = fake, 0 = real, -1 = unknown.
        groups: Identities and source videos in the clip.
        split: The part that the data set assigns, or "".
        source: The file that was read.
        facts: What else is known: `frames_sampled`, `faces_found`, `width`, `height`, `fps`,
            `duration_seconds`, `codec`; and of `ASSIGNED_FACTS` those that are known.
        transient: Whether a failure says nothing about the video itself (out of memory, out of
            time, an I/O error), so that the next run tries again.
        revision: 1 for the first record of a video in a store, one more for each that took its
            place. The highest stands for the video.
    """

    DTYPES: ClassVar[Mapping[str, str]]
    """The dtypes of the arrays by name, in the order in which they are hashed."""

    video_id: str
    status: str
    reason: str
    mask: npt.NDArray[np.bool_]
    frame_index: npt.NDArray[np.int64]
    pts_seconds: npt.NDArray[np.float64]
    boxes_xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    label: int
    groups: tuple[str, ...]
    split: str
    source: SourceFile
    facts: dict[str, Any] = field(default_factory=dict, kw_only=True)
    transient: bool = field(default=False, kw_only=True)
    revision: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        own = vars(self)
        check_metadata(own)
        if not all(self.shape):
            raise ValueError(f"a record has rows and columns. Received: {self.shape}")
        for name, shape in self.shapes(*self.shape).items():
            array = own[name]
            if array.shape != shape or array.dtype != _dtype(self.DTYPES[name]):
                raise ValueError(
                    f"{name} must be {self.DTYPES[name]} {shape}. "
                    f"Received: {array.dtype} {array.shape}"
                )
        valid = self.frames_valid
        if np.count_nonzero(self.mask[:valid]) < valid:
            raise ValueError(f"valid frames must come first. Received mask: {self.mask}")
        self._check_frames(valid)
        if (self.status in FAILED_STATUSES) != (valid == 0):
            raise ValueError(f"status {self.status} with {valid} valid frames")

    @staticmethod
    @abstractmethod
    def shapes(*shape: int) -> dict[str, tuple[int, ...]]:
        """The shape of each array that has one size in all records of that `shape`."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """What all records of a store have in common: T, and D where there are features."""

    @property
    def frames_valid(self) -> int:
        """How many frames show the face."""
        return int(np.count_nonzero(self.mask))

    @property
    def failed(self) -> bool:
        """Whether there is nothing to train on or to judge by."""
        return self.status in FAILED_STATUSES

    @property
    def size_bytes(self) -> int:
        """The size of the last array, beside which the others are small."""
        return int(vars(self)[list(self.DTYPES)[-1]].nbytes)

    @property
    def metadata(self) -> bytes:
        """All that is not an array, as canonical JSON in ASCII."""
        return encode_metadata(vars(self))

    @property
    def sha256(self) -> bytes:
        """The digest (32 bytes) of all that is kept; see `digest`."""
        return digest(self.metadata, {name: getattr(self, name) for name in self.DTYPES})

    def same_content(self, other: Self) -> bool:
        """Whether both say the same of the same video, whatever their revisions and file times."""
        one, two = (
            replace(record, revision=1, source=replace(record.source, mtime_ns=0))
            for record in (self, other)
        )
        return one.sha256 == two.sha256

    def emptied(self, status: str, reason: str) -> Self:
        """The record without any valid frame, with a status of those that failed."""
        return replace(self, status=status, reason=reason, **self._empty(*self.shape))

    @classmethod
    def from_metadata(cls, metadata: bytes, arrays: dict[str, Any]) -> Self:
        """The inverse of `metadata`, with the arrays beside it.

        Raises:
            ValueError, KeyError, TypeError: The metadata is not what `metadata` writes.
        """
        return cls(**decode_metadata(metadata), **arrays)

    @classmethod
    def _empty(cls, *shape: int) -> dict[str, Any]:
        """Its arrays where no frame is valid."""
        arrays = {
            name: np.zeros(own, dtype=cls.DTYPES[name]) for name, own in cls.shapes(*shape).items()
        }
        arrays["frame_index"][:] = -1
        return arrays

    @abstractmethod
    def _check_frames(self, valid: int) -> None:
        """Hold the content of the first `valid` rows to what it should be."""


@dataclass(frozen=True, eq=False)
class FeatureRecord(Record):
    """The features of one video, or why there are none; see `Record` for the other attributes.

    Attributes:
        features: float16 (T, D).
    """

    DTYPES = ARRAYS

    features: npt.NDArray[np.float16]

    @staticmethod
    @lru_cache(maxsize=8)
    def shapes(*shape: int) -> dict[str, tuple[int, ...]]:
        """See `Record`."""
        frames, width = shape
        return {"features": (frames, width), **shapes_seen(frames)}

    @property
    def shape(self) -> tuple[int, int]:
        """T and D."""
        frames, width = self.features.shape
        return frames, width

    def _check_frames(self, valid: int) -> None:
        # NumPy's isfinite takes ten times as long on float16.
        bits = np.ascontiguousarray(self.features[:valid]).view(np.uint16)
        if bits.max(initial=0) >= _INFINITE and (bits & _INFINITE).max() == _INFINITE:
            raise ValueError("features must be finite")


def empty_arrays(frames: int, width: int) -> dict[str, Any]:
    """Return the arrays of a `FeatureRecord` without any valid frame.

    Args:
        frames: Number of rows, T.
        width: Number of features per row, D.
    """
    return FeatureRecord._empty(frames, width)


def digest(metadata: bytes, arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """SHA-256 (32 bytes) of a record's metadata, its shape and its arrays, in the order given."""
    return sha256_of(canonical_bytes(metadata, list(arrays.values())))


def canonical_bytes(
    metadata: bytes, arrays: Sequence[npt.NDArray[Any]]
) -> tuple[bytes, memoryview]:
    """What a record's digest is of: all but the last array, which is large, and that array.

    The shape is the number of frames, and of features in each or of bytes in all images.
    """
    *small, last = arrays
    shape = len(small[0]), last.shape[-1]
    head = [metadata, b"\0%d %d\0" % shape, *[array.tobytes() for array in small]]
    return b"".join(head), np.ascontiguousarray(last).data


def sha256_of(parts: tuple[bytes, memoryview]) -> bytes:
    """SHA-256 (32 bytes) of two parts, one after the other."""
    result = hashlib.sha256(parts[0])
    result.update(parts[1])
    return result.digest()


def shapes_seen(frames: int) -> dict[str, tuple[int, ...]]:
    """The shapes of `SEEN_ARRAYS` in a record of `frames` rows."""
    by_frame: dict[str, tuple[int, ...]] = dict.fromkeys(SEEN_ARRAYS, (frames,))
    return {**by_frame, "boxes_xyxy": (frames, 4)}


@lru_cache(maxsize=16)
def _dtype(name: str) -> np.dtype[Any]:
    return np.dtype(name)
