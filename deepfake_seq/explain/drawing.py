"""The timeline of a person as a drawing: bars and lines in units of the drawing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from deepfake_seq.explain.explanation import Explanation, PersonExplanation
from deepfake_seq.explain.wording import FAINT, factor
from deepfake_seq.verdict import FAKE, REAL

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 140, 70, 10, 24
"""Size of a timeline, and of its margins, in units of its drawing."""


class Bar(NamedTuple):
    """A bar of a timeline, in units of the drawing; `label` says what it shows."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    label: str


class Line(NamedTuple):
    """A line of a timeline: horizontal at `place`, or vertical if `label` is empty."""

    place: float
    label: str = ""


@dataclass(frozen=True)
class TimelineDrawing:
    """The drawing of a timeline.

    Attributes:
        bars: One bar per frame.
        levels: Horizontal lines with labels.
        shots: Vertical lines where a new shot begins.
        ticks: Positions of times, with the times.
        summary: What the drawing shows, in words.
    """

    bars: tuple[Bar, ...]
    levels: tuple[Line, ...]
    shots: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]
    summary: str


def timeline(
    person: PersonExplanation, explanation: Explanation, threshold: float
) -> TimelineDrawing:
    """Return the drawing of a person's timeline.

    Args:
        person: The person, who has a score.
        explanation: The explanation of the clip; its time span and shots.
        threshold: Scores of at least this are called fake.
    """
    times = [frame.pts_seconds for frame in person.frames]
    start, end = explanation.span
    duration = max(max(end, *times) - start, 1e-3)

    def across(seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - 10) * (seconds - start) / duration

    gaps = [after - before for before, after in pairwise(times)]
    step = across(start + min(gaps, default=duration)) - LEFT
    width = min(max(0.8 * step, 2.0), 24.0)
    height = HEIGHT - TOP - BOTTOM
    bars = []
    values = [frame.log_odds or 0.0 for frame in person.frames]
    largest = max(*(abs(value) for value in values), FAINT)
    middle = TOP + height / 2
    for frame, value in zip(person.frames, values, strict=True):
        left = round(across(frame.pts_seconds) - width / 2, 1)
        if frame.score is not None:
            long = height * frame.score
            kind = FAKE if frame.score >= threshold else REAL
            label = f"{frame.pts_seconds:.2f} s: score {frame.score:.3f}"
            bars.append(_bar(left, TOP + height - long, width, long, kind, label))
        else:
            long = height / 2 * abs(value) / largest
            kind = FAKE if value > 0 else REAL
            label = f"{frame.pts_seconds:.2f} s: odds of fake {factor(value)}"
            top = middle - long if value > 0 else middle
            bars.append(_bar(left, top, width, long, kind, label))
    if person.is_exact:
        levels = [
            Line(TOP, "1"),
            Line(round(TOP + height * (1 - threshold), 1), f"threshold {threshold:.2f}"),
            Line(TOP + height, "0"),
        ]
        over = sum(bar.kind == FAKE for bar in bars)
        summary = f"{over} of {len(bars)} frames score at or above the threshold."
    else:
        levels = [
            Line(TOP, f"{factor(largest)} fake"),
            Line(middle, "no change"),
            Line(TOP + height, f"{factor(-largest)} real"),
        ]
        over = sum(bar.kind == FAKE for bar in bars)
        summary = f"{over} of {len(bars)} frames raise the odds of fake."
    return TimelineDrawing(
        bars=tuple(bars),
        levels=tuple(levels),
        shots=tuple(Line(round(across(seconds), 1)) for seconds in explanation.shot_seconds),
        ticks=tuple(
            (round(across(seconds), 1), f"{seconds:.1f} s")
            for seconds in (start + duration * part / 4 for part in range(5))
        ),
        summary=summary,
    )


def _bar(x: float, y: float, width: float, height: float, kind: str, label: str) -> Bar:
    return Bar(x, round(y, 1), round(width, 1), round(max(height, 0.8), 1), kind, label)
