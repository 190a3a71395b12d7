"""Limits on the time and memory of decoding that follow the size of the video."""

from __future__ import annotations

import math

from deepfake_seq.config import LimitsConfig
from deepfake_seq.config.execution import GIB, MAX_SECONDS, MIN_MEMORY_BYTES, MIN_SECONDS
from deepfake_seq.extract.video import isolated_process

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


def time_limit(file_bytes: int, pixels: int) -> float:
    """Return the time limit for a video in seconds.

    Args:
        file_bytes: Size of the file.
        pixels: Number of pixels of all frames together.
    """
    seconds = MIN_SECONDS + file_bytes / _BYTES_PER_SECOND + pixels / _PIXELS_PER_SECOND
    return float(min(math.ceil(seconds), MAX_SECONDS))


def memory_limit(frame_pixels: int, images: int, threads: int) -> int:
    """Return the memory limit for a video in bytes.

    Args:
        frame_pixels: Number of pixels of a frame.
        images: Number of images to return.
        threads: Number of decoding threads.
    """
    decoder = _BYTES_PER_PIXEL + _THREAD_BYTES_PER_PIXEL * threads
    needed = _BASE_BYTES + frame_pixels * (decoder + _IMAGE_BYTES_PER_PIXEL * images)
    return max(MIN_MEMORY_BYTES, needed)


def request(
    limits: LimitsConfig,
    file_bytes: int = 0,
    frames: int = 0,
    frame_pixels: int = 0,
    images: int = 0,
) -> None:
    """Ask the main process for the limits that a video needs, unless limits are set.

    Args:
        limits: The limits; one that is set stays as it is.
        file_bytes: Size of the file.
        frames: Number of frames.
        frame_pixels: Number of pixels of a frame.
        images: Number of images to return.
    """
    if not limits.seconds:
        isolated_process.extend_time(time_limit(file_bytes, frames * frame_pixels))
    if not limits.memory_bytes:
        isolated_process.extend_memory(memory_limit(frame_pixels, images, limits.threads))
