"""Encode, decode and check the metadata of a record: its fields that are not arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STATUSES = {
    "ok": "every sampled frame was read, and a face was found",
    "too_few_frames": "the video has fewer frames than are sampled; all of them were used",
    "partial": "the file ends early or is damaged; the readable part was used",
    "no_face": "no sampled frame shows a face",
    "decode_error": "the file could not be decoded",
    "timeout": "the time limit for one video was exceeded",
    "rejected": "the video exceeds a limit or is a forbidden input",
}
"""Meaning of each status that a record can have."""

FAILED_STATUSES = frozenset({"no_face", "decode_error", "timeout", "rejected"})
"""Statuses of records without valid frames."""

ASSIGNED_FACTS = ("method", "dataset", "source")
"""Facts that are given with the video: manipulation method, data set, and where it comes from."""

MAX_METADATA = 65_536
"""Maximum size of a record's metadata in bytes."""


@dataclass(frozen=True)
class SourceFile:
    """Size, time and checksum of a video file when it was read.

    Attributes:
        size_bytes: Size of the file in bytes.
        mtime_ns: Modification time in nanoseconds since 1970.
        sha256: SHA-256 of the content in hex; "" if the file could not be read.
    """

    size_bytes: int
    mtime_ns: int
    sha256: str

    def __post_init__(self) -> None:
        numbers = type(self.size_bytes) is int and type(self.mtime_ns) is int
        if not numbers or type(self.sha256) is not str:
            raise ValueError(
                f"size_bytes and mtime_ns must be integers and sha256 text. Received: {self}"
            )


def encode_metadata(values: Mapping[str, Any]) -> bytes:
    """Encode the fields of a record that are not arrays as canonical JSON in ASCII.

    Raises:
        ValueError: The result is larger than `MAX_METADATA`.
    """
    fields = {
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
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    if len(text) > MAX_METADATA:
        raise ValueError(
            f"the metadata of {values['video_id']!r} is larger than {MAX_METADATA} bytes"
        )
    return text.encode()


def decode_metadata(metadata: bytes) -> dict[str, Any]:
    """Decode the output of `encode_metadata` to fields of a record, without checking their types.

    Raises:
        ValueError, KeyError, TypeError: `metadata` is not such output.
    """
    values: dict[str, Any] = _JSON.decode(metadata.decode("ascii"))
    if type(values["groups"]) is not list:
        raise TypeError(f"groups must be a list. Received: {values['groups']!r}")
    values["groups"] = tuple(values["groups"])
    values["source"] = SourceFile(**values["source"])
    return values


def parse_metadata(metadata: bytes) -> dict[str, Any]:
    """Decode the output of `encode_metadata` to fields of a record, and check them.

    Raises:
        ValueError, KeyError, TypeError: `metadata` is not such output.
    """
    values = decode_metadata(metadata)
    check_metadata(values)
    return values


def check_metadata(values: Mapping[str, Any]) -> None:
    """Check the types and ranges of a record's fields that are not arrays; untrusted input.

    Raises:
        ValueError, KeyError, TypeError: A field is missing or invalid.
    """
    status, revision, transient = values["status"], values["revision"], values["transient"]
    if status not in STATUSES:
        raise ValueError(f"status must be one of {', '.join(STATUSES)}. Received: {status!r}")
    texts = (values["video_id"], values["reason"], values["split"], *values["groups"])
    if {type(text) for text in texts} != {str} or type(values["groups"]) is not tuple:
        raise ValueError(f"video_id, reason, split and groups must be text. Received: {texts}")
    if type(values["label"]) is not int or values["label"] not in (-1, 0, 1):
        raise ValueError(f"label must be 1, 0 or -1. Received: {values['label']!r}")
    if type(revision) is not int or not 1 <= revision < 2**63:
        raise ValueError(f"revision must be from 1 to 2^63 - 1. Received: {revision!r}")
    if type(transient) is not bool or (transient and status not in FAILED_STATUSES):
        raise ValueError(f"transient must be false for status {status}. Received: {transient!r}")
    if type(values["facts"]) is not dict:
        raise ValueError(f"facts must be a mapping. Received: {values['facts']!r}")


def _refuse(constant: str) -> None:
    raise ValueError(f"not a JSON number: {constant}")


_JSON = json.JSONDecoder(parse_constant=_refuse)
