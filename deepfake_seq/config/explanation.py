"""Settings of `report`: what to explain of a verdict."""

from __future__ import annotations

from dataclasses import dataclass

from deepfake_seq.config.setting import check_settings, setting


@dataclass(frozen=True)
class ExplainConfig:
    """What to explain of a verdict; nothing here changes the verdict."""

    maps: int = setting(
        3,
        "Number of frames per person for which maps are made of the parts of the face that "
        "contribute to the score; 0 for none.",
        low=0,
        high=16,
    )

    def __post_init__(self) -> None:
        check_settings(self)
