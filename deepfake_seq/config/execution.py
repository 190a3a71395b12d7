"""Settings of stage 1 that change its speed and what it gives up on, not the numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

from deepfake_seq.config.checks import check, check_choice

RUNTIMES = ("openvino", "keras")
ENGINES = ("local", "ray")
MAX_WORKERS = 256


@dataclass(frozen=True)
class LimitsConfig:
    """What one video may cost. Beyond it, the video fails and the run goes on.

    Attributes:
        seconds: Wall time for decoding it.
        memory_bytes: Address space of the process that decodes it.
        file_bytes: Size of the file.
        pixels: Pixels of one frame.
        frames: Frames that are looked at.
        threads: Threads that decode it; 0 shares the cores among the processes.
    """

    seconds: float = 60.0
    memory_bytes: int = 2 << 30
    file_bytes: int = 16 << 30
    pixels: int = 1 << 24
    frames: int = 500_000
    threads: int = 0

    def __post_init__(self) -> None:
        check(0.1 <= self.seconds <= 86_400, "timeout must be 0.1 to 86400 s", self.seconds)
        check(self.memory_bytes >= 1 << 29, "memory must be 0.5 GiB or more", self.memory_bytes)
        for name in ("file_bytes", "pixels", "frames"):
            check(getattr(self, name) >= 1, f"{name} must be 1 or more", getattr(self, name))
        check(0 <= self.threads <= 64, "threads must be from 0 to 64", self.threads)


@dataclass(frozen=True)
class ExecutionConfig:
    """How stage 1 uses the machine; changes its speed and what it gives up on, not the numbers.

    Attributes:
        runtime: What runs the CNN: `openvino` (CPU) or `keras` (any Keras backend).
        workers: Decoding processes; 0 means one for each core, at most 32.
        limits: What one video may cost.
        engine: Where stage 1 runs: `local` (this machine) or `ray` (a Ray cluster).
        address: Of the Ray cluster; "" finds a running one, or else starts one on this machine.
    """

    runtime: str = "openvino"
    workers: int = 0
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    engine: str = "local"
    address: str = ""

    def __post_init__(self) -> None:
        check_choice("runtime", self.runtime, RUNTIMES)
        check_choice("engine", self.engine, ENGINES)
        check(
            0 <= self.workers <= MAX_WORKERS,
            f"workers must be from 1 to {MAX_WORKERS}, or 0 for the default",
            self.workers,
        )
