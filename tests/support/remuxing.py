"""Changes to clips that do not encode them again: lossless cuts, edit lists, joined recordings."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import av

Edit = tuple[float, float | None]
"""Duration of an edit and start of it in the media, in seconds; without a start, it is empty."""


def trim(
    path: Path, target: Path, start: float, seconds: float, options: Mapping[str, str] | None = None
) -> Path:
    """Cut out a part as `ffmpeg -ss START -i PATH -t SECONDS -c copy TARGET` does.

    The packets from the first key frame on are copied; those before `start` get negative times,
    which MP4 and MOV files hide by an edit list.
    """
    with av.open(str(path)) as source, av.open(str(target), "w", options=dict(options or {})) as to:
        stream: Any = source.streams.video[0]
        copy = to.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None and packet.pts * stream.time_base < start + seconds:
                _mux(to, copy, packet, -start)
    return target


def filtered(path: Path, target: Path, bitstream_filter: str) -> Path:
    """Copy the packets through a filter of FFmpeg that changes what the video says of itself.

    What the container says stays as it is.
    """
    with av.open(str(path)) as source, av.open(str(target), "w") as to:
        stream: Any = source.streams.video[0]
        copy: Any = to.add_stream_from_template(stream)
        change = av.BitStreamFilterContext(bitstream_filter, stream, copy)
        for packet in [*source.demux(stream)]:
            for changed in change.filter(packet if packet.dts is not None else None):
                changed.stream = copy
                to.mux(changed)
    return target


def join(paths: Sequence[Path], target: Path, starts: Sequence[float]) -> Path:
    """Copy the packets of several recordings into one file, each from its start time on."""
    with av.open(str(target), "w") as to:
        copy: Any = None
        for path, start in zip(paths, starts, strict=True):
            with av.open(str(path)) as source:
                stream = source.streams.video[0]
                copy = copy or to.add_stream_from_template(stream)
                for packet in source.demux(stream):
                    if packet.dts is not None:
                        _mux(to, copy, packet, start)
    return target


def _mux(container: Any, stream: Any, packet: Any, shift: float) -> None:
    ticks = round(shift / packet.time_base)
    packet.pts, packet.dts, packet.stream = packet.pts + ticks, packet.dts + ticks, stream
    container.mux(packet)


def set_edits(path: Path, target: Path, edits: Sequence[Edit]) -> Path:
    """Replace the edit list of an MP4 or MOV file that has one stream, and its index at the end."""
    data = bytearray(path.read_bytes())
    _, header, _ = _find(data, b"moov", b"mvhd")
    _, media, _ = _find(data, b"moov", b"trak", b"mdia", b"mdhd")
    boxes, start, end = _find(data, b"moov", b"trak", b"edts", b"elst")
    film_ticks, media_ticks = (_number(data, at + 12) for at in (header, media))
    shown_from = struct.unpack_from(">i", data, start + 12)[0]  # B-frames delay the first frame
    body = struct.pack(">II", 0, len(edits))
    for seconds, begin in edits:
        first = -1 if begin is None else round(begin * media_ticks) + shown_from
        body += struct.pack(">IiI", round(seconds * film_ticks), first, 1 << 16)
    data[start:end] = body
    for box in boxes:
        struct.pack_into(">I", data, box, _number(data, box) + len(body) - (end - start))
    target.write_bytes(data)
    return target


def _find(data: bytearray, *path: bytes) -> tuple[list[int], int, int]:
    """Return where the boxes of a path start, and where the content of the last one is."""
    starts, start, end = [], 0, len(data)
    for name in path:
        box = next(at for at in _boxes(data, start, end) if data[at + 4 : at + 8] == name)
        starts.append(box)
        start, end = box + 8, box + _number(data, box)
    return starts, start, end


def _boxes(data: bytearray, start: int, end: int) -> Iterator[int]:
    while start + 8 <= end:
        yield start
        start += _number(data, start)


def _number(data: bytearray, at: int) -> int:
    return int(struct.unpack_from(">I", data, at)[0])
