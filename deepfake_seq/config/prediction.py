"""Settings of `predict`: whom and which part of a clip to judge, and when not to."""

from __future__ import annotations

import math
from dataclasses import dataclass

from deepfake_seq.config.checks import check
from deepfake_seq.config.extraction import PEOPLE
from deepfake_seq.config.setting import check_settings, setting


@dataclass(frozen=True)
class PredictConfig:
    """Which people and which time of a clip to judge, and when to abstain.

    These settings select what is shown to the model, and do not change how features are computed,
    so any run can be used with any of them.
    """

    people: str = setting(
        "all",
        "People to classify: all, each with a verdict of their own, or only the main person.",
        choices=PEOPLE,
        option="--faces",
    )
    short_side: int | None = setting(
        None,
        "Short side to which larger frames are reduced before detection; a larger value finds "
        "smaller faces.",
        low=64,
        high=2160,
        unit="pixels",
        kind=int,
        default_text="as in the run",
    )
    window_seconds: float | None = setting(
        None,
        "Length of the windows into which each clip is divided. Each window is classified, and the "
        "clip gets the verdict of the most suspicious one.",
        low=0.5,
        high=86_400,
        unit="seconds",
        kind=float,
        option="--windows",
        metavar="SECONDS",
        default_text="the whole clip at once",
    )
    start_seconds: float | None = setting(
        None,
        "Time in the clip at which to start.",
        low=0,
        unit="seconds",
        kind=float,
        option="--start",
        metavar="SECONDS",
        default_text="the beginning",
    )
    end_seconds: float | None = setting(
        None,
        "Time in the clip at which to end.",
        above=0,
        unit="seconds",
        kind=float,
        option="--end",
        metavar="SECONDS",
        default_text="the end",
    )
    novelty_alpha: float = setting(
        0.0,
        "Clips with a novelty p-value of at most this are inconclusive.",
        low=0,
        below=1,
        metavar="P",
        default_text="0, no clip",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        span = (self.start_seconds or 0.0, self.end_seconds)
        check(span[1] is None or span[0] < span[1], "--start must be before --end", span)

    def spans(self, duration_seconds: float) -> list[tuple[float, float]]:
        """Return start and end in seconds of the parts of a clip that are classified one by one.

        All windows are equally long and together cover the time between `start_seconds` and
        `end_seconds`; they are shorter than `window_seconds` unless it divides this time.

        Args:
            duration_seconds: Duration of the clip.
        """
        start = self.start_seconds or 0.0
        end = duration_seconds if self.end_seconds is None else self.end_seconds
        length = max(min(end, duration_seconds) - start, 0.0)
        count = max(math.ceil(length / self.window_seconds - 1e-9), 1) if self.window_seconds else 1
        edges = [start + length * number / count for number in range(count)]
        return list(zip(edges, [*edges[1:], end], strict=True))
