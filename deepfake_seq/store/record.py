"""What is kept of one video."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

STATUSES = {
    "ok": "every sampled frame was read, and a face was found",
    "too_few_frames": "the video has fewer frames than are sampled; all of them were used",
    "partial": "the file ended early or broke; what could be read was used",
    "no_face": "no sampled frame shows a face",
    "decode_error": "the file could not be decoded",
    "timeout": "the time allowed for one video ran out",
    "rejected": "a limit or a forbidden input",
}
"""Every status that a record can have, and what it means."""

FAILED_STATUSES = frozenset({"no_face", "decode_error", "timeout", "rejected"})
"""The statuses of records without a single valid frame."""

ARRAYS: dict[str, str] = {
    "mask": "|b1",
    "frame_index": "<i8",
    "pts_seconds": "<f8",
    "boxes_xyxy": "<f4",
    "scores": "<f4",
    "features": "<f2",
}
"""The arrays of a record and their dtypes, in the order in which they are hashed."""

ASSIGNED_FACTS = ("method", "dataset")
"""The facts that the data set tells, not the video: how a fake was made, and what it is of."""

MOST_METADATA = 65_536
"""The most bytes that a record's metadata may have."""

_DTYPES = {name: np.dtype(dtype) for name, dtype in ARRAYS.items()}
_INFINITE = 0x7C00
"""The exponent bits of a float16: all of them set means infinity or NaN."""


@dataclass(frozen=True)
class SourceFile:
    """What a video file looked like when it was read.

    Attributes:
        size_bytes: Its size.
        mtime_ns: Its modification time in nanoseconds since 1970.
        sha256: Of its content, in hex; "" where the file could not be read.
    """

    size_bytes: int
    mtime_ns: int
    sha256: str

    def __post_init__(self) -> None:
        numbers = type(self.size_bytes) is int and type(self.mtime_ns) is int
        if not numbers or type(self.sha256) is not str:
            raise ValueError(f"not what a file looks like. Received: {self}")


@dataclass(frozen=True, eq=False)
class FeatureRecord:
    """The features of one video, or why there are none.

    Rows of the arrays are sampled frames. Valid frames come first, in order of time; the rows after
    them are padding, all zeros (`frame_index` -1), and mean nothing.

    Attributes:
        video_id: The video's path relative to its root, with forward slashes.
        status: A key of `STATUSES`.
        reason: Why the status is not `ok`; "" otherwise.
        features: float16 (T, D).
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

    video_id: str
    status: str
    reason: str
    features: npt.NDArray[np.float16]
    mask: npt.NDArray[np.bool_]
    frame_index: npt.NDArray[np.int64]
    pts_seconds: npt.NDArray[np.float64]
    boxes_xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    label: int
    groups: tuple[str, ...]
    split: str
    source: SourceFile
    facts: dict[str, Any] = field(default_factory=dict)
    transient: bool = False
    revision: int = 1

    def __post_init__(self) -> None:
        check_metadata(vars(self))
        frames, width = self.features.shape
        if not frames or not width:
            raise ValueError(f"a record has rows and columns. Received: {self.features.shape}")
        own = vars(self)
        for name, shape in shapes(frames, width).items():
            array = own[name]
            if array.shape != shape or array.dtype != _DTYPES[name]:
                raise ValueError(
                    f"{name} must be {ARRAYS[name]} {shape}. Received: {array.dtype} {array.shape}"
                )
        valid = self.frames_valid
        if np.count_nonzero(self.mask[:valid]) < valid:
            raise ValueError(f"valid frames must come first. Received mask: {self.mask}")
        # NumPy's isfinite takes ten times as long on float16.
        bits = np.ascontiguousarray(self.features[:valid]).view(np.uint16)
        if bits.max(initial=0) >= _INFINITE and (bits & _INFINITE).max() == _INFINITE:
            raise ValueError("features must be finite")
        if (self.status in FAILED_STATUSES) != (valid == 0):
            raise ValueError(f"status {self.status} with {valid} valid frames")

    @property
    def frames_valid(self) -> int:
        """How many frames show the face."""
        return int(np.count_nonzero(self.mask))

    @property
    def failed(self) -> bool:
        """Whether there is nothing to train on or to judge by."""
        return self.status in FAILED_STATUSES

    @property
    def metadata(self) -> bytes:
        """All that is not an array, as canonical JSON in ASCII."""
        values = {
            "facts": self.facts,
            "groups": list(self.groups),
            "label": self.label,
            "reason": self.reason,
            "revision": self.revision,
            "source": vars(self.source),
            "split": self.split,
            "status": self.status,
            "transient": self.transient,
            "video_id": self.video_id,
        }
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
        if len(text) > MOST_METADATA:
            raise ValueError(
                f"the metadata of {self.video_id!r} is larger than {MOST_METADATA} bytes"
            )
        return text.encode()

    @property
    def sha256(self) -> bytes:
        """The digest (32 bytes) of all that is kept; see `digest`."""
        return digest(self.metadata, {name: getattr(self, name) for name in ARRAYS})

    def same_content(self, other: FeatureRecord) -> bool:
        """Whether both say the same of the same video, whatever their revisions and file times."""
        one, two = (
            replace(record, revision=1, source=replace(record.source, mtime_ns=0))
            for record in (self, other)
        )
        return one.sha256 == two.sha256

    @classmethod
    def from_metadata(cls, metadata: bytes, arrays: dict[str, Any]) -> FeatureRecord:
        """The inverse of `metadata`, with the arrays beside it.

        Raises:
            ValueError, KeyError, TypeError: The metadata is not what `metadata` writes.
        """
        return cls(**_fields(metadata), **arrays)


def parse_metadata(metadata: bytes) -> dict[str, Any]:
    """What `FeatureRecord.metadata` wrote, as the fields of a record; checked.

    Raises:
        ValueError, KeyError, TypeError: It is something else.
    """
    values = _fields(metadata)
    check_metadata(values)
    return values


def _fields(metadata: bytes) -> dict[str, Any]:
    values: dict[str, Any] = _JSON.decode(metadata.decode("ascii"))
    if type(values["groups"]) is not list:
        raise TypeError(f"groups must be a list. Received: {values['groups']!r}")
    values["groups"] = tuple(values["groups"])
    values["source"] = SourceFile(**values["source"])
    return values


def check_metadata(values: Mapping[str, Any]) -> None:
    """Hold the fields of a record that are no arrays to their types and ranges.

    Raises:
        ValueError, KeyError, TypeError: One is not what it should be. Files may come from anybody.
    """
    status, revision, transient = values["status"], values["revision"], values["transient"]
    if status not in STATUSES:
        raise ValueError(f"unknown status. Received: {status!r}")
    texts = (values["video_id"], values["reason"], values["split"], *values["groups"])
    if {type(text) for text in texts} != {str} or type(values["groups"]) is not tuple:
        raise ValueError(f"video_id, reason, split and groups must be text. Received: {texts}")
    if type(values["label"]) is not int or values["label"] not in (-1, 0, 1):
        raise ValueError(f"label must be 1, 0 or -1. Received: {values['label']!r}")
    if type(revision) is not int or not 1 <= revision < 2**63:
        raise ValueError(f"revision must be from 1 to 2^63 - 1. Received: {revision!r}")
    if type(transient) is not bool or (transient and status not in FAILED_STATUSES):
        raise ValueError(f"transient, but {status}. Received: {transient!r}")
    if type(values["facts"]) is not dict:
        raise ValueError(f"facts must be a mapping. Received: {values['facts']!r}")


def _refuse(constant: str) -> None:
    raise ValueError(f"no JSON number: {constant}")


_JSON = json.JSONDecoder(parse_constant=_refuse)


def digest(metadata: bytes, arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """SHA-256 (32 bytes) of a record's metadata, its shape and its arrays in their order."""
    return sha256_of(canonical_bytes(metadata, [arrays[name] for name in ARRAYS]))


def canonical_bytes(
    metadata: bytes, arrays: Sequence[npt.NDArray[Any]]
) -> tuple[bytes, memoryview]:
    """What a record's digest is of: all but the features, which come last, and the features."""
    *small, features = arrays
    frames, width = features.shape
    head = [metadata, b"\0%d %d\0" % (frames, width), *[array.tobytes() for array in small]]
    return b"".join(head), np.ascontiguousarray(features).data


def sha256_of(parts: tuple[bytes, memoryview]) -> bytes:
    """SHA-256 (32 bytes) of two parts, one after the other."""
    result = hashlib.sha256(parts[0])
    result.update(parts[1])
    return result.digest()


@lru_cache(maxsize=8)
def shapes(frames: int, width: int) -> dict[str, tuple[int, ...]]:
    """The shape of each array of a record of `frames` rows of `width` features."""
    return {
        "features": (frames, width),
        "mask": (frames,),
        "frame_index": (frames,),
        "pts_seconds": (frames,),
        "boxes_xyxy": (frames, 4),
        "scores": (frames,),
    }


def empty_arrays(frames: int, width: int) -> dict[str, Any]:
    """The arrays of a record in which no frame is valid."""
    arrays = {
        name: np.zeros(shape, dtype=ARRAYS[name]) for name, shape in shapes(frames, width).items()
    }
    arrays["frame_index"][:] = -1
    return arrays
