"""The report on a clip as one HTML file: pictures are inside, nothing is loaded, no script runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NamedTuple

from deepfake_seq.explain import pictures
from deepfake_seq.explain.clip_report import NO_PROOF, ClipReport
from deepfake_seq.explain.explanation import Explanation, PersonExplanation
from deepfake_seq.explain.support import LEVELS, Support, rounded
from deepfake_seq.face_regions import REGIONS
from deepfake_seq.sequence.reports import html
from deepfake_seq.verdict import FAKE, INCONCLUSIVE, REAL
from deepfake_seq.verdict_text import in_plain_words

BLOCK_NAMES = {"regions": "texture", "residual": "noise", "ela": "compression"}
"""What the evidence blocks with regions measure."""

MAX_PEOPLE = 6
"""Number of people, the most suspicious ones, who are shown with their frames."""

_CROP_SIDE, _MAP_SIDE = 112, 220
_FAINT = 0.05
"""Contribution to the log-odds, about 5 % of the odds, below which a region is not named."""

_STANDS_OUT = 1.5
"""A region is named if its contribution is at least this multiple of the median of the others."""

_FULL_COLOUR = 0.25
"""Smallest contribution to the log-odds that is drawn with the full colour in a map."""

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


@dataclass(frozen=True, eq=False)
class PersonView:
    """What the page shows of one person.

    Attributes:
        number: Number of the person, from 1.
        person: The explanation.
        support: How strongly the score supports the verdict on the person, in a sentence.
        timeline: The drawing of the timeline; None without a score.
        crops: JPEG file and caption of each frame.
        regions: Name, contribution as a factor of the odds, its direction, and the length of its
            bar (0 to 1) for each face region, the one that speaks most for fake first.
        region_summary: Which region stands out, in a sentence.
        blocks: For each face region its name, and its contribution through each of
            `person.blocks` as a factor of the odds.
        maps: Caption, and JPEG files of crop, map and residual, of each mapped frame.
    """

    number: int
    person: PersonExplanation
    support: str
    timeline: TimelineDrawing | None
    crops: tuple[tuple[bytes, str], ...]
    regions: tuple[tuple[str, str, str, float], ...]
    region_summary: str
    blocks: tuple[tuple[str, ...], ...]
    maps: tuple[tuple[str, bytes, bytes, bytes], ...]


class PlaceBox(NamedTuple):
    """The box of a person in a picture, in its pixels."""

    number: int
    kind: str
    x: float
    y: float
    width: float
    height: float


class PlaceView(NamedTuple):
    """A frame of the clip with the boxes of people."""

    jpeg: bytes
    width: int
    height: int
    caption: str
    boxes: tuple[PlaceBox, ...]


def render(report: ClipReport) -> str:
    """Render a report as an HTML page."""
    people = list(enumerate(report.explanation.people, start=1))
    shown = sorted(people, key=lambda pair: -_rank(pair[1]))[:MAX_PEOPLE]
    supports = report.people_support
    return html.render(
        "clip.html.j2",
        __package__ or "",
        report=report,
        verdict=report.verdict,
        headline=headline(report),
        sentences=[*in_plain_words(report.verdict), *support_sentences(report)],
        no_proof=NO_PROOF,
        levels=level_sentences(),
        people=[
            _person(number, person, supports[number - 1], report.explanation, report)
            for number, person in sorted(shown)
        ],
        people_left_out=len(people) - len(shown),
        places=_places(people),
        frame_size=(WIDTH, HEIGHT, LEFT, TOP, BOTTOM),
        block_names=BLOCK_NAMES,
        percent=percent,
    )


def headline(report: ClipReport) -> str:
    """Return the verdict in a few words, such as `Fake: moderate support`."""
    kind = report.verdict.verdict
    if kind == INCONCLUSIVE:
        return "Inconclusive: no verdict"
    name = {FAKE: "Fake", REAL: "Real"}[kind]
    if report.support is None:
        return f"{name}: strength unknown"
    return f"{name}: {report.support.level} support"


def support_sentences(report: ClipReport) -> Iterator[str]:
    """Yield what the strength of the verdict means."""
    support = report.support
    if support is not None:
        yield _support_sentence(support, "the score")
        if support.is_capped:
            yield (
                f"The level is that of a ratio of {support.cap}: the run was validated on "
                f"{support.cap - 1} {_other(support)} clips, which cannot show more."
            )
    elif report.verdict.verdict != INCONCLUSIVE:
        yield (
            "How strongly the score supports this is unknown: there were no fakes among the clips "
            "on which the run was validated."
        )


def level_sentences() -> tuple[str, ...]:
    """Return the levels of support and their ratios."""
    below, rows = 1.0, []
    for high, name in LEVELS:
        limit = f"{below:g} to {high:g}" if math.isfinite(high) else f"{below:g} or more"
        rows.append(f"{name}: {limit if below > 1 else f'below {high:g}'}")
        below = high
    return tuple(rows)


def percent(rate: float | None) -> str:
    """Format a fraction such as `14 %`."""
    return "–" if rate is None else f"{100 * rate:.0f} %"


def factor(log_odds: float) -> str:
    """Format a contribution as the factor that it adds to the odds of fake, such as `× 1.35`."""
    value = math.exp(max(min(log_odds, 50.0), -50.0))
    return f"× {value:.2f}" if 0.01 <= value < 100 else f"× {value:.1e}"


def _support_sentence(support: Support, subject: str) -> str:
    return (
        f"{support.level.capitalize()} support for “{support.hypothesis}”: by the calibration, "
        f"{subject} is {rounded(support.ratio)} times as common among {support.hypothesis} as "
        f"among {_other(support)} clips of the kind that the run was validated on."
    )


def _other(support: Support) -> str:
    return REAL if support.hypothesis == FAKE else FAKE


def _rank(person: PersonExplanation) -> float:
    return -math.inf if person.log_odds is None else person.log_odds


def _person(
    number: int,
    person: PersonExplanation,
    support: Support | None,
    explanation: Explanation,
    report: ClipReport,
) -> PersonView:
    crops = []
    for frame in person.frames:
        caption = f"{frame.pts_seconds:.2f} s"
        if frame.score is not None:
            caption += f", score {frame.score:.2f}"
        elif frame.log_odds is not None:
            caption += f", {factor(frame.log_odds)}"
        crops.append((pictures.jpeg(frame.crop_rgb, _CROP_SIDE), caption))
    regions = sorted(person.regions.items(), key=lambda item: -item[1])
    longest = max((abs(value) for _, value in regions), default=0.0)
    return PersonView(
        number=number,
        person=person,
        support=_support_sentence(support, "the person's score") if support else "",
        timeline=None if person.log_odds is None else timeline(person, explanation, report),
        crops=tuple(crops),
        regions=tuple(
            (name, factor(value), FAKE if value > 0 else REAL, abs(value) / max(longest, _FAINT))
            for name, value in regions
        ),
        region_summary=_region_summary(regions),
        blocks=tuple(
            (name, *(factor(values[name]) for values in person.blocks.values()))
            for name in (REGIONS if person.blocks else ())
        ),
        maps=tuple(_maps(person)),
    )


def _region_summary(regions: Sequence[tuple[str, float]]) -> str:
    if not regions:
        return ""
    name, value = regions[0]
    if value < _FAINT:
        return "No region speaks for fake: covering any of them hardly lowers the score."
    if value < _STANDS_OUT * statistics.median(other for _, other in regions[1:]):
        return (
            "No region stands out: covering any of them lowers the score. The model reacts to the "
            "whole face, or to the covers."
        )
    return (
        f"The {name} speaks most for fake: with the {name} covered, the odds of fake would be "
        f"lower by a factor of {math.exp(min(value, 50.0)):.2f}."
    )


def _maps(person: PersonExplanation) -> Iterator[tuple[str, bytes, bytes, bytes]]:
    strongest = max((abs(found.log_odds).max() for found in person.maps), default=0.0)
    for found in person.maps:
        frame = person.frames[found.row]
        values = found.log_odds
        caption = (
            f"{frame.pts_seconds:.2f} s: single squares change the odds of fake by factors from "
            f"{math.exp(max(values.min(), -50)):.2f} to {math.exp(min(values.max(), 50)):.2f}"
        )
        coloured = pictures.overlay(frame.crop_rgb, values, max(float(strongest), _FULL_COLOUR))
        yield (
            caption,
            pictures.jpeg(frame.crop_rgb, _MAP_SIDE),
            pictures.jpeg(coloured, _MAP_SIDE),
            pictures.jpeg(pictures.residual_picture(found.residual_rgb), _MAP_SIDE),
        )


def timeline(
    person: PersonExplanation, explanation: Explanation, report: ClipReport
) -> TimelineDrawing:
    """Return the drawing of a person's timeline."""
    times = [frame.pts_seconds for frame in person.frames]
    duration = max(explanation.duration_seconds, max(times), 1e-3)

    def across(seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - 10) * seconds / duration

    gaps = [after - before for before, after in pairwise(times)]
    step = across(min(gaps, default=duration)) - LEFT
    width = min(max(0.8 * step, 2.0), 24.0)
    height = HEIGHT - TOP - BOTTOM
    bars, threshold = [], report.verdict.threshold
    values = [frame.log_odds or 0.0 for frame in person.frames]
    largest = max(*(abs(value) for value in values), _FAINT)
    middle = TOP + height / 2
    for frame, value in zip(person.frames, values, strict=True):
        start = round(across(frame.pts_seconds) - width / 2, 1)
        if frame.score is not None:
            long = height * frame.score
            kind = FAKE if frame.score >= threshold else REAL
            label = f"{frame.pts_seconds:.2f} s: score {frame.score:.3f}"
            bars.append(_bar(start, TOP + height - long, width, long, kind, label))
        else:
            long = height / 2 * abs(value) / largest
            kind = FAKE if value > 0 else REAL
            label = f"{frame.pts_seconds:.2f} s: odds of fake {factor(value)}"
            top = middle - long if value > 0 else middle
            bars.append(_bar(start, top, width, long, kind, label))
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
            (round(across(duration * part / 4), 1), f"{duration * part / 4:.1f} s")
            for part in range(5)
        ),
        summary=summary,
    )


def _bar(x: float, y: float, width: float, height: float, kind: str, label: str) -> Bar:
    return Bar(x, round(y, 1), round(width, 1), round(max(height, 0.8), 1), kind, label)


def _places(people: Sequence[tuple[int, PersonExplanation]]) -> list[PlaceView]:
    """Return the frames that show where the people are."""
    placed = [(number, person, *person.place) for number, person in people if person.place]
    views = []
    for _, group in groupby(sorted(placed, key=lambda row: row[2].index), lambda row: row[2].index):
        rows = list(group)
        frame = rows[0][2]
        height, width = frame.image_rgb.shape[:2]
        boxes = tuple(
            PlaceBox(
                number,
                person.verdict.verdict,
                round(left * width, 1),
                round(top * height, 1),
                round((right - left) * width, 1),
                round((bottom - top) * height, 1),
            )
            for number, person, _, (left, top, right, bottom) in rows
        )
        caption = f"The frame at {frame.pts_seconds:.2f} s"
        views.append(PlaceView(pictures.jpeg(frame.image_rgb), width, height, caption, boxes))
    return views[:MAX_PEOPLE]
