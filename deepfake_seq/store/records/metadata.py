"""What is kept of one video beside its arrays: as JSON, and held to its types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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

ASSIGNED_FACTS = ("method", "dataset")
"""The facts that the data set tells, not the video: how a fake was made, and what it is of."""

MAX_METADATA = 65_536
"""The most bytes that a record's metadata may have."""


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


def encode_metadata(values: Mapping[str, Any]) -> bytes:
    """The fields of a record that are no arrays, as canonical JSON in ASCII.

    Raises:
        ValueError: They are too large.
    """
    plain = {
        "facts": values["facts"],
        "groups": list(values["groups"]),
        "label": values["label"],
        "reason": values["reason"],
        "revision": values["revision"],
        "source": vars(values["source"]),
        "split": values["split"],
        "status": values["status"],
        "transient": values["transient"],
        "video_id": values["video_id"],
    }
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    if len(text) > MAX_METADATA:
        raise ValueError(
            f"the metadata of {values['video_id']!r} is larger than {MAX_METADATA} bytes"
        )
    return text.encode()


def decode_metadata(metadata: bytes) -> dict[str, Any]:
    """What `encode_metadata` wrote, as the fields of a record; their types are not checked.

    Raises:
        ValueError, KeyError, TypeError: It is something else.
    """
    values: dict[str, Any] = _JSON.decode(metadata.decode("ascii"))
    if type(values["groups"]) is not list:
        raise TypeError(f"groups must be a list. Received: {values['groups']!r}")
    values["groups"] = tuple(values["groups"])
    values["source"] = SourceFile(**values["source"])
    return values


def parse_metadata(metadata: bytes) -> dict[str, Any]:
    """What `encode_metadata` wrote, as the fields of a record; checked.

    Raises:
        ValueError, KeyError, TypeError: It is something else.
    """
    values = decode_metadata(metadata)
    check_metadata(values)
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
