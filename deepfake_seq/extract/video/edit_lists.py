"""Edit lists of MP4 and MOV files: which parts of each track are played, and in which order.

ISO/IEC 14496-12, boxes `moov/trak/edts/elst`. FFmpeg applies them, but does not report them. A
list that only skips the frames before the first one is normal: encoders write it. Several entries,
gaps or a changed rate show that a file was cut without being encoded again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MAX_BOXES = 10_000
_MAX_ENTRIES = 1_000
_CONTAINERS = (b"moov", b"trak", b"edts", b"mdia")


@dataclass(frozen=True)
class Edit:
    """One entry of an edit list.

    Attributes:
        track: Number of the track, from 1, in the order of the file.
        kind: What the track contains, such as `video` or `sound`.
        seconds: Duration of the entry; 0 up to the end of the track.
        start_seconds: Time in the track at which it starts; None for an empty entry, which shows
            nothing.
        rate: Rate of playback; 1 is normal, 0 holds one frame.
    """

    track: int
    kind: str
    seconds: float
    start_seconds: float | None
    rate: float


def read_edit_lists(path: Path) -> tuple[Edit, ...]:
    """Return the edit lists of a file; empty if it has none, is no MP4 or MOV file, or is damaged.

    Args:
        path: Path of the file; untrusted input.
    """
    try:
        with path.open("rb") as file:
            return tuple(_edits(file, path.stat().st_size))
    except (OSError, ArithmeticError, ValueError, struct.error):
        return ()


class _Track:
    """What the boxes of one track say."""

    def __init__(self) -> None:
        self.kind = ""
        self.timescale = 0
        self.entries: list[tuple[int, int, float]] = []


def _edits(file: BinaryIO, size: int) -> Iterator[Edit]:
    timescale, tracks = 0, list[_Track]()
    for name, payload in _boxes(file, 0, size):
        if name == b"trak":
            tracks.append(_Track())
        elif name == b"mvhd":
            timescale = _timescale(payload)
        elif tracks and name == b"mdhd":
            tracks[-1].timescale = _timescale(payload)
        elif tracks and name == b"hdlr" and not tracks[-1].kind:
            kind = payload[8:12].decode("ascii", "replace")
            tracks[-1].kind = {"vide": "video", "soun": "sound"}.get(kind, kind)
        elif tracks and name == b"elst":
            tracks[-1].entries = list(_entries(payload))
    for number, track in enumerate(tracks, start=1):
        for duration, start, rate in track.entries:
            yield Edit(
                track=number,
                kind=track.kind,
                seconds=duration / timescale,
                start_seconds=None if start == -1 else start / track.timescale,
                rate=rate,
            )


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and payload of the boxes that matter; those that contain boxes have none."""
    pending, seen = [(start, end)], 0
    while pending:
        at, end = pending.pop()
        if end - at < 8:
            continue
        if (seen := seen + 1) > _MAX_BOXES:
            raise ValueError("too many boxes")
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        head = 8
        if length == 1:
            (length,), head = struct.unpack(">Q", file.read(8)), 16
        length = length or end - at
        if length < head or length > end - at:
            raise ValueError("a box is longer than the one around it")
        pending.append((at + length, end))
        if name in _CONTAINERS:
            yield name, b""
            pending.append((at + head, at + length))
        elif name in (b"mvhd", b"mdhd", b"hdlr", b"elst"):
            yield name, file.read(min(length - head, 20 * _MAX_ENTRIES + 8))


def _timescale(payload: bytes) -> int:
    """Return the number of units per second in a `mvhd` or `mdhd` box."""
    (timescale,) = struct.unpack_from(">I", payload, 20 if payload[0] == 1 else 12)
    if not timescale:
        raise ValueError("the time scale is 0")
    return int(timescale)


def _entries(payload: bytes) -> Iterator[tuple[int, int, float]]:
    """Yield duration, start and rate of each entry of an `elst` box."""
    kind = ">Qqhh" if payload[0] == 1 else ">Iihh"
    (count,) = struct.unpack_from(">I", payload, 4)
    for number in range(min(count, _MAX_ENTRIES)):
        duration, start, whole, part = struct.unpack_from(
            kind, payload, 8 + number * struct.calcsize(kind)
        )
        yield duration, start, whole + part / 65536
