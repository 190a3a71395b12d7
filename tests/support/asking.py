"""Calls of a decoding process; the module imports little, because a time limit may be running."""

from __future__ import annotations

import resource
import time

from deepfake_seq.config import LimitsConfig
from deepfake_seq.extract.video import allowance

UHD = 3840 * 2160


def ask_and_wait(limits: LimitsConfig) -> str:
    """Ask for the limits of a long video, and then take longer than a second."""
    allowance.request(limits, 1 << 30, frames=10_000, frame_pixels=UHD, images=64)
    time.sleep(2.0)
    return "done"


def memory_after_asking(limits: LimitsConfig) -> int:
    allowance.request(limits, 1 << 20, frames=100, frame_pixels=UHD, images=64)
    return resource.getrlimit(resource.RLIMIT_AS)[0]


def work_and_wait(share: float) -> None:
    allowance.report_progress(share)
    time.sleep(600)
