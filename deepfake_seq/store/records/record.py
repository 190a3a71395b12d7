"""Records: the base class for one video, and the record of its face's features."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from deepfake_seq.store.record_ids import CONDITIONS_FACT
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
    "FRAME_ARRAYS",
    "MAX_METADATA",
    "STATUSES",
    "FeatureRecord",
    "Record",
    "SourceFile",
    "canonical_bytes",
    "empty_arrays",
    "frame_array_shapes",
    "sha256_of",
]

FRAME_ARRAYS: dict[str, str] = {
    "mask": "|b1",
    "frame_index": "<i8",
    "pts_seconds": "<f8",
    "boxes_xyxy": "<f4",
    "scores": "<f4",
}
"""Dtypes of the arrays that describe the sampled frames and the face in them, by name."""

ARRAYS: dict[str, str] = {**FRAME_ARRAYS, "features": "<f2"}
"""Dtypes of a feature record's arrays by name, in the order in which they are hashed."""

FRAME_SIZE = "frame_size"
"""Name of the optional array with the size of each frame."""

EVIDENCE_PREFIX = "evidence_"
"""Start of the names of optional arrays with evidence blocks in a shard."""

EVIDENCE_FACT = "evidence"
"""Name of the fact with the settings of each evidence block, by name of the block."""

MASK_SHARES_FACT = "mask_shares"
"""Name of the fact with the share of each face region that was replaced, from 0 to 1: the mean over
the frames, in the order of `face_regions.REGIONS`. Fakes lack it if their mask is unknown."""

_EVIDENCE_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")

Array = npt.NDArray[Any]

Layout = tuple[tuple[str, tuple[int, ...]], ...]
"""Names and shapes of the optional arrays that the records of one shard share."""

_INFINITE = 0x7C00
"""Exponent bits of a float16; if all are set, the value is infinite or NaN."""


@dataclass(frozen=True, eq=False)
class Record(ABC):
    """Base class of the records of one video, `FeatureRecord` and `FaceRecord`.

    The rows of the arrays are sampled frames. Valid frames come first, in chronological order; the
    rows after them are padding of zeros (-1 in `frame_index`).

    Attributes:
        video_id: Path of the video relative to its root, with forward slashes.
        status: Status of the extraction, a key of `STATUSES`.
        reason: Why the status is not `ok`; "" otherwise.
        mask: bool (T,); True for rows with a frame that shows the face.
        frame_index: int64 (T,); number of the frame in order of presentation.
        pts_seconds: float64 (T,); presentation time of the frame.
        boxes_xyxy: float32 (T, 4); box of the face in pixels of the upright frame.
        scores: float32 (T,); confidence of the detector.
        label: Label of the video; 1 = fake, 0 = real, -1 = unknown.
        groups: Identities and source videos in the clip.
        split: Split assigned by the data set, or "".
        source: File that was read.
        facts: Further facts: `frames_sampled`, `faces_found`, `width`, `height`, `fps`,
            `duration_seconds`, `codec`, `conditions` (see `extract.faces.conditions`), and those of
            `ASSIGNED_FACTS` that are known. `width` and `height` are the size of the first sampled
            frame.
        transient: Whether a failure was not caused by the video itself (out of memory, timeout,
            I/O error), so that the next run tries again.
        revision: 1 for the first record of a video in a store, plus 1 for each replacement. The
            record with the highest revision is the current one.
        frame_size: int32 (T, 2); width and height in pixels of the upright frame, which can change
            within a video. None in records of earlier versions, whose frames all have the size in
            `facts`.
    """

    DTYPES: ClassVar[Mapping[str, str]]
    """Dtypes of the arrays by name, in the order in which they are hashed."""

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
    frame_size: npt.NDArray[np.int32] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        fields = vars(self)
        check_metadata(fields)
        if not all(self.shape):
            raise ValueError(f"no dimension of a record may be 0. Received: {self.shape}")
        for name, shape in self.shapes(*self.shape).items():
            array = fields[name]
            if array.shape != shape or array.dtype != _dtype(self.DTYPES[name]):
                raise ValueError(
                    f"{name} must be {self.DTYPES[name]} {shape}. "
                    f"Received: {array.dtype} {array.shape}"
                )
        for name, array in self.optional_arrays.items():
            if array.dtype != optional_dtype(name) or array.shape[:-1] != self.mask.shape:
                raise ValueError(
                    f"{name} must be {optional_dtype(name)} with {len(self.mask)} rows. "
                    f"Received: {array.dtype} {array.shape}"
                )
        valid = self.frames_valid
        if np.count_nonzero(self.mask[:valid]) < valid:
            raise ValueError(f"valid frames must come first. Received mask: {self.mask}")
        self._check_frames(valid)
        if (self.status in FAILED_STATUSES) != (valid == 0):
            raise ValueError(
                f"a record must have valid frames unless its status is one of "
                f"{', '.join(sorted(FAILED_STATUSES))}. "
                f"Received: status {self.status} with {valid} valid frames"
            )

    @staticmethod
    @abstractmethod
    def shapes(*shape: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of each array whose size depends only on the record's `shape`."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Dimensions that all records of a store share: T, and D for features."""

    @property
    def frames_valid(self) -> int:
        """Number of frames that show the face."""
        return int(np.count_nonzero(self.mask))

    @property
    def failed(self) -> bool:
        """Whether the record has no valid frame."""
        return self.status in FAILED_STATUSES

    @property
    def size_bytes(self) -> int:
        """Size in bytes of the last array, by far the largest."""
        return int(vars(self)[list(self.DTYPES)[-1]].nbytes)

    @property
    def optional_arrays(self) -> dict[str, Array]:
        """Arrays that not every record has, by their names in a shard, in the order of hashing."""
        return {} if self.frame_size is None else {FRAME_SIZE: self.frame_size}

    @property
    def face_pixels(self) -> float:
        """Mean side of the face box over the valid frames, in pixels of the frame; 0 if none."""
        sides = np.diff(self.boxes_xyxy[self.mask].reshape(-1, 2, 2), axis=1)
        return float(np.sqrt(np.abs(sides.prod(axis=2))).mean()) if len(sides) else 0.0

    @property
    def layout(self) -> Layout:
        """Names and shapes of the optional arrays; records of different layouts share no shard."""
        return tuple((name, array.shape) for name, array in self.optional_arrays.items())

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Width and height of each frame: int64 (T, 2); zeros if they are unknown."""
        if self.frame_size is not None:
            return self.frame_size.astype(np.int64)
        size = [self.facts.get(name) for name in ("width", "height")]
        known = all(type(length) is int and 0 < length < 2**31 for length in size)
        return np.tile(np.array(size if known else (0, 0), dtype=np.int64), (len(self.mask), 1))

    @property
    def metadata(self) -> bytes:
        """Fields that are not arrays, as canonical JSON in ASCII."""
        return encode_metadata(vars(self))

    @property
    def sha256(self) -> bytes:
        """SHA-256 (32 bytes) of the record's content; see `digest`."""
        arrays = [getattr(self, name) for name in self.DTYPES]
        return sha256_of(canonical_bytes(self.metadata, arrays, self.optional_arrays))

    def same_content(self, other: Self) -> bool:
        """Return whether two records are equal except for revision and modification time.

        The conditions, which records of earlier versions lack, do not count either.
        """
        one, two = (
            replace(
                record,
                revision=1,
                source=replace(record.source, mtime_ns=0),
                facts={
                    name: fact for name, fact in record.facts.items() if name != CONDITIONS_FACT
                },
            )
            for record in (self, other)
        )
        return one.sha256 == two.sha256

    def without_frames(self, status: str, reason: str) -> Self:
        """Return a copy without valid frames, with one of the `FAILED_STATUSES`."""
        sizes = None if self.frame_size is None else np.zeros_like(self.frame_size)
        empty = self._empty(*self.shape)
        return replace(self, status=status, reason=reason, frame_size=sizes, **empty)

    @classmethod
    def from_metadata(cls, metadata: bytes, arrays: dict[str, Any]) -> Self:
        """Build a record from the output of `metadata` and its arrays, by their names in a shard.

        Raises:
            ValueError, KeyError, TypeError: The metadata or an array is invalid.
        """
        return cls(**decode_metadata(metadata), **arrays)

    @classmethod
    def _empty(cls, *shape: int) -> dict[str, Any]:
        """Return arrays without valid frames."""
        arrays = {
            name: np.zeros(size, dtype=cls.DTYPES[name])
            for name, size in cls.shapes(*shape).items()
        }
        arrays["frame_index"][:] = -1
        return arrays

    @abstractmethod
    def _check_frames(self, valid: int) -> None:
        """Check the content of the arrays, of which the first `valid` rows are valid."""


@dataclass(frozen=True, eq=False)
class FeatureRecord(Record):
    """The features of one video, or the reason that there are none; see `Record`.

    Attributes:
        features: float16 (T, D); features of the face in each frame.
        evidence: Evidence blocks by name, float16 (T, D_k) each: what else was computed from the
            face in each frame. The fact `evidence` has the settings of each block.
    """

    DTYPES = ARRAYS

    features: npt.NDArray[np.float16]
    evidence: Mapping[str, npt.NDArray[np.float16]] = field(default_factory=dict, kw_only=True)

    @property
    def optional_arrays(self) -> dict[str, Array]:
        """See `Record`; evidence blocks are in the order of their names."""
        blocks = {f"{EVIDENCE_PREFIX}{name}": self.evidence[name] for name in sorted(self.evidence)}
        return {**super().optional_arrays, **blocks}

    @property
    def blocks(self) -> dict[str, npt.NDArray[np.float16]]:
        """All inputs of a sequence model: `features`, and the evidence blocks by name."""
        return {"features": self.features, **self.evidence}

    @classmethod
    def from_metadata(cls, metadata: bytes, arrays: dict[str, Any]) -> Self:
        """See `Record`."""
        evidence = {
            name.removeprefix(EVIDENCE_PREFIX): arrays.pop(name)
            for name in list(arrays)
            if name.startswith(EVIDENCE_PREFIX)
        }
        return super().from_metadata(metadata, {**arrays, "evidence": evidence})

    def without_frames(self, status: str, reason: str) -> Self:
        """See `Record`."""
        evidence = {name: np.zeros_like(block) for name, block in self.evidence.items()}
        return replace(super().without_frames(status, reason), evidence=evidence)

    @staticmethod
    @lru_cache(maxsize=8)
    def shapes(*shape: int) -> dict[str, tuple[int, ...]]:
        """See `Record`."""
        frames, width = shape
        return {"features": (frames, width), **frame_array_shapes(frames)}

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows T and of features per row D."""
        frames, width = self.features.shape
        return frames, width

    def _check_frames(self, valid: int) -> None:
        for name, block in self.blocks.items():
            # NumPy's isfinite takes ten times as long on float16.
            bits = np.ascontiguousarray(block[:valid]).view(np.uint16)
            if bits.max(initial=0) >= _INFINITE and (bits & _INFINITE).max() == _INFINITE:
                raise ValueError(f"{name} must be finite")
        described = self.facts.get(EVIDENCE_FACT, {})
        if not isinstance(described, dict) or described.keys() != self.evidence.keys():
            raise ValueError(
                f"the fact {EVIDENCE_FACT!r} must describe the evidence blocks "
                f"{', '.join(sorted(self.evidence)) or '(none)'}. Received: {described!r}"
            )


def optional_dtype(name: str) -> np.dtype[Any]:
    """Return the dtype of an optional array by its name in a shard.

    Raises:
        ValueError: There is no such array.
    """
    if name == FRAME_SIZE:
        return _dtype("<i4")
    block = name.removeprefix(EVIDENCE_PREFIX)
    if block != name and _EVIDENCE_NAME.fullmatch(block):
        return _dtype("<f2")
    raise ValueError(f"no array of a record. Received: {name!r}")


def empty_arrays(frames: int, width: int) -> dict[str, Any]:
    """Return the arrays of a `FeatureRecord` without any valid frame.

    Args:
        frames: Number of rows, T.
        width: Number of features per row, D.
    """
    return FeatureRecord._empty(frames, width)


def canonical_bytes(
    metadata: bytes, arrays: Sequence[Array], optional: Mapping[str, Array]
) -> tuple[bytes, memoryview]:
    """Return the bytes that a record's digest covers, in two pieces: the last array is not copied.

    The first piece is the metadata, the shape (the number of rows, and the number of features per
    row or the total size of the images), each optional array after its name, dtype and shape, and
    the other arrays but the last, which is the second piece.

    Args:
        metadata: See `Record.metadata`.
        arrays: The arrays in the order of `Record.DTYPES`.
        optional: See `Record.optional_arrays`.
    """
    *small, last = arrays
    head = [metadata, b"\0%d %d\0" % (len(small[0]), last.shape[-1])]
    for name, array in optional.items():
        head += [f"{name} {array.dtype.str} {array.shape}\0".encode(), array.tobytes()]
    head += [array.tobytes() for array in small]
    return b"".join(head), np.ascontiguousarray(last).data


def sha256_of(pieces: tuple[bytes, memoryview]) -> bytes:
    """Return the SHA-256 (32 bytes) of two concatenated pieces."""
    result = hashlib.sha256(pieces[0])
    result.update(pieces[1])
    return result.digest()


def frame_array_shapes(frames: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of `FRAME_ARRAYS` in a record of `frames` rows."""
    by_frame: dict[str, tuple[int, ...]] = dict.fromkeys(FRAME_ARRAYS, (frames,))
    return {**by_frame, "boxes_xyxy": (frames, 4)}


@lru_cache(maxsize=16)
def _dtype(name: str) -> np.dtype[Any]:
    return np.dtype(name)
