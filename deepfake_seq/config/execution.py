"""Settings of stage 1 that change its speed and what it gives up on, not the numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

from deepfake_seq.config.checks import check, check_choice

RUNTIMES = ("openvino", "keras")


@dataclass(frozen=True)
class LimitsConfig:
    """What one video may cost. Beyond it, the video fails and the run goes on.

    Attributes:
        seconds: Wall time for decoding it.
        memory_bytes: Address space of the process that decodes it.
        file_bytes: Size of the file.
        pixels: Pixels of one frame.
        frames: Frames that are looked at.
    """

    seconds: float = 60.0
    memory_bytes: int = 2 << 30
    file_bytes: int = 16 << 30
    pixels: int = 1 << 24
    frames: int = 500_000

    def __post_init__(self) -> None:
        check(0.1 <= self.seconds <= 86_400, "timeout must be 0.1 to 86400 s", self.seconds)
        check(self.memory_bytes >= 1 << 29, "memory must be 0.5 GiB or more", self.memory_bytes)
        for name in ("file_bytes", "pixels", "frames"):
            check(getattr(self, name) >= 1, f"{name} must be 1 or more", getattr(self, name))


@dataclass(frozen=True)
class ExecutionConfig:
    """How stage 1 uses the machine; changes its speed and what it gives up on, not the numbers.

    Attributes:
        runtime: What runs the CNN: `openvino` (CPU) or `keras` (any Keras backend).
        workers: Decoding processes; 0 means one for each core, at most four.
        limits: What one video may cost.
    """

    runtime: str = "openvino"
    workers: int = 0
    limits: LimitsConfig = field(default_factory=LimitsConfig)

    def __post_init__(self) -> None:
        check_choice("runtime", self.runtime, RUNTIMES)
        check(0 <= self.workers <= 256, "workers must be from 0 to 256", self.workers)
