"""Settings of `stress`: which clips are tested under which distortions."""

from __future__ import annotations

from dataclasses import dataclass

from deepfake_seq.config.setting import check_settings, setting

STRESS_SUITES = ("deeperforensics", "field", "grid")


@dataclass(frozen=True)
class StressConfig:
    """Which clips of a run are tested, and under which distortions."""

    clips: int = setting(
        100,
        "Maximum number of validation clips, and of test clips; whole groups are drawn at random.",
        low=1,
    )
    suites: tuple[str, ...] = setting(
        STRESS_SUITES,
        "Distortions to apply: deeperforensics (7 kinds at 5 levels), field (face size, double "
        "compression, JPEG, frame rate), grid (combinations for error rates under the conditions "
        "of a clip; validation clips only). Repeat the option for several.",
        choices=STRESS_SUITES,
        option="--suite",
    )
    seed: int = setting(0, "Seed of the sample and of random distortions.", low=0, high=2**32 - 1)

    def __post_init__(self) -> None:
        check_settings(self)
