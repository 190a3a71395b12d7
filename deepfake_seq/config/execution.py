"""Settings of stage 1 that change its speed and limits, but not the features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepfake_seq.config.setting import check_settings, setting

RUNTIMES = ("openvino", "keras")
ENGINES = ("local", "ray")
MAX_WORKERS = 256

GIB = 2**30
MIN_SECONDS = 60.0
"""Time limit of a small video."""
MIN_MEMORY_BYTES = 2 * GIB
"""Memory limit of a small video."""
MAX_SECONDS = 86_400

SECONDS_FACT = "limit_seconds"
MEMORY_FACT = "limit_memory_bytes"
"""The facts of a video that exceeded the limit on its time or memory: the limit that applied."""


@dataclass(frozen=True)
class LimitsConfig:
    """Limits per video. A video that exceeds one fails; the other videos are still extracted.

    Without a value (0), the limits on time and memory follow the size of the video; see
    `extract.video.allowance`.
    """

    seconds: float = setting(
        0.0,
        "Time limit for decoding one video.",
        low=0.1,
        high=MAX_SECONDS,
        unit="seconds",
        auto=0.0,
        option="--timeout",
        default_text="60, and more for long videos and large frames",
    )
    memory_bytes: int = setting(
        0,
        "Address space of the process that decodes a video.",
        low=0.5,
        high=65_536,
        unit="GiB",
        auto=0,
        option="--memory",
        kind=float,
        read=lambda gib: int(gib * GIB),
        write=lambda size: size / GIB,
        default_text="2, and more for large frames",
    )
    file_bytes: int = setting(16 * GIB, "Maximum file size.", low=1, unit="bytes", has_option=False)
    pixels: int = setting(1 << 24, "Maximum number of pixels per frame.", low=1, has_option=False)
    frames: int = setting(500_000, "Maximum number of frames per video.", low=1, has_option=False)
    duration_seconds: float = setting(
        0.0,
        "Maximum duration of a video; 0 for no limit.",
        low=0,
        unit="seconds",
        has_option=False,
    )
    threads: int = setting(
        0,
        "Number of decoding threads; 0 divides the cores among the processes.",
        low=0,
        high=64,
        has_option=False,
    )

    def __post_init__(self) -> None:
        check_settings(self)

    def exceed(self, facts: Mapping[str, Any]) -> bool:
        """Return whether these limits are above those that a failed video exceeded.

        Args:
            facts: Facts of the video. True if they name no limit.
        """
        limits = {
            SECONDS_FACT: self.seconds or MIN_SECONDS,
            MEMORY_FACT: self.memory_bytes or MIN_MEMORY_BYTES,
        }
        return all(
            limit > exceeded
            for name, limit in limits.items()
            if isinstance(exceeded := facts.get(name), int | float)
        )


def exceeds_a_limit(facts: Mapping[str, Any]) -> bool:
    """Return whether a video exceeded a limit on its time or memory, according to its facts."""
    return SECONDS_FACT in facts or MEMORY_FACT in facts


@dataclass(frozen=True)
class ExecutionConfig:
    """How stage 1 uses the machine, or a cluster of machines."""

    runtime: str = setting(
        "openvino",
        "Library that runs the CNN: OpenVINO on the CPU, or Keras on the backend named by "
        "KERAS_BACKEND.",
        choices=RUNTIMES,
    )
    workers: int = setting(
        0,
        "Number of decoding processes.",
        low=1,
        high=MAX_WORKERS,
        auto=0,
        default_text="one per core, at most 32",
    )
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    engine: str = setting(
        "local", "Where to extract: on this machine, or on a Ray cluster.", choices=ENGINES
    )
    address: str = setting(
        "",
        "Address of the Ray cluster.",
        metavar="HOST:PORT",
        default_text="a running cluster if found, else a new one on this machine",
    )

    def __post_init__(self) -> None:
        check_settings(self)
