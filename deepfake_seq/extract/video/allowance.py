"""Limits on the time and memory of decoding that follow the size of the video.

Only the process that decodes a video knows its size: it raises its own memory limit, and asks the
main process, which watches the time, for more. See `isolated_process`.
"""

from __future__ import annotations

import math
import resource
import time
from multiprocessing.connection import Connection
from typing import NamedTuple

from deepfake_seq.config import LimitsConfig
from deepfake_seq.config.execution import (
    GIB,
    MAX_SECONDS,
    MEMORY_FACT,
    MIN_MEMORY_BYTES,
    MIN_SECONDS,
)
from deepfake_seq.errors import VideoError
from deepfake_seq.extract.video import shared_memory

_BYTES_PER_SECOND = 25e6
"""Slowest disk: the file is hashed, searched for time stamps and decoded."""

_PIXELS_PER_SECOND = 10e6
"""Slowest decoder: two cores decode 18 times as much of H.265 at 4K and 10 bits."""

_BASE_BYTES = GIB
_BYTES_PER_PIXEL = 64
"""Memory of the decoder: up to 17 frames of 10 bits."""

_THREAD_BYTES_PER_PIXEL = 12
_IMAGE_BYTES_PER_PIXEL = 6
"""Memory of a result: the image, and its copy for the main process."""

_REPORT_SECONDS = 0.5

_main: Connection | None = None
"""The connection to the main process, in a process that decodes for it."""

_last_report = 0.0


class Notice(NamedTuple):
    """A message to the main process during a call.

    Attributes:
        seconds: Time limit that the call needs; None to keep it.
        share: How much is done, from 0 to 1.
    """

    seconds: float | None = None
    share: float = 0.0


class OutOfMemory(NamedTuple):
    """A message to the main process in place of a result that there is no memory for.

    Attributes:
        limit_bytes: Memory limit of the process; None if there is none.
    """

    limit_bytes: int | None


def time_limit(file_bytes: int, pixels: int) -> float:
    """Return the time limit for a video in seconds.

    Args:
        file_bytes: Size of the file.
        pixels: Number of pixels of all frames together.
    """
    seconds = MIN_SECONDS + file_bytes / _BYTES_PER_SECOND + pixels / _PIXELS_PER_SECOND
    return float(min(math.ceil(seconds), MAX_SECONDS))


def needed_memory(frame_pixels: int, images: int, threads: int) -> int:
    """Return the memory limit for a video in bytes.

    Args:
        frame_pixels: Number of pixels of a frame.
        images: Number of images to return.
        threads: Number of decoding threads.
    """
    decoder = _BYTES_PER_PIXEL + _THREAD_BYTES_PER_PIXEL * threads
    needed = _BASE_BYTES + frame_pixels * (decoder + _IMAGE_BYTES_PER_PIXEL * images)
    return max(MIN_MEMORY_BYTES, needed)


def connect(main: Connection, memory_bytes: int) -> None:
    """Make this process one that decodes for another one, with a memory limit."""
    global _main
    _main = main
    _set_memory_limit(memory_bytes)


def request(
    limits: LimitsConfig,
    file_bytes: int,
    frames: int = 0,
    frame_pixels: int = 0,
    images: int = 0,
) -> None:
    """Raise the limits of the call in progress to what a video needs, unless limits are set.

    The memory limit stays raised, because a process does not give back all its memory after a large
    video. Nothing happens in the main process, which has no limits.

    Args:
        limits: The limits; one that is set stays as it is.
        file_bytes: Size of the file.
        frames: Number of frames.
        frame_pixels: Number of pixels of a frame.
        images: Number of images to return.
    """
    if _main is None:
        return
    if not limits.seconds:
        shared_memory.send(_main, Notice(time_limit(file_bytes, frames * frame_pixels)))
    needed, now = needed_memory(frame_pixels, images, limits.threads), memory_limit()
    if not limits.memory_bytes and now is not None and needed > now:
        _set_memory_limit(needed)


def report_progress(share: float) -> None:
    """Report how much of the call in progress is done, from 0 to 1, at most twice a second."""
    global _last_report
    if _main is not None and (now := time.monotonic()) > _last_report + _REPORT_SECONDS:
        _last_report = now
        shared_memory.send(_main, Notice(share=share))


def out_of_memory(limit_bytes: int | None) -> VideoError:
    """Return the error of a video that needs more memory than the limit, or than there is."""
    if limit_bytes is None:
        return VideoError("decode_error", "out of memory", transient=True)
    gib = limit_bytes / GIB
    return VideoError(
        "decode_error",
        f"out of memory: decoding needs more than {gib:.3g} GiB; try --memory {2 * math.ceil(gib)}",
        transient=True,
        facts={MEMORY_FACT: limit_bytes},
    )


def memory_limit() -> int | None:
    """Return the limit on the address space of this process in bytes; None if there is none."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def _set_memory_limit(memory_bytes: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        memory_bytes = min(memory_bytes, most)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, most))
    except (OSError, ValueError):  # macOS does not enforce this limit
        return
