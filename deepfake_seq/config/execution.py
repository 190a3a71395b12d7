"""Settings of stage 1 that change its speed and limits, but not the features."""

from __future__ import annotations

from dataclasses import dataclass, field

from deepfake_seq.config.setting import check_settings, setting

RUNTIMES = ("openvino", "keras")
ENGINES = ("local", "ray")
MAX_WORKERS = 256

_GIB = 2**30


@dataclass(frozen=True)
class LimitsConfig:
    """Limits per video. A video that exceeds one fails; the other videos are still extracted."""

    seconds: float = setting(
        60.0,
        "Time limit for decoding one video.",
        low=0.1,
        high=86_400,
        unit="seconds",
        option="--timeout",
    )
    memory_bytes: int = setting(
        2 * _GIB,
        "Address space of the process that decodes a video.",
        low=0.5,
        high=65_536,
        unit="GiB",
        option="--memory",
        kind=float,
        read=lambda gib: int(gib * _GIB),
        write=lambda size: size / _GIB,
    )
    file_bytes: int = setting(
        16 * _GIB, "Maximum file size.", low=1, unit="bytes", has_option=False
    )
    pixels: int = setting(1 << 24, "Maximum number of pixels per frame.", low=1, has_option=False)
    frames: int = setting(500_000, "Maximum number of frames per video.", low=1, has_option=False)
    threads: int = setting(
        0,
        "Number of decoding threads; 0 divides the cores among the processes.",
        low=0,
        high=64,
        has_option=False,
    )

    def __post_init__(self) -> None:
        check_settings(self)


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
