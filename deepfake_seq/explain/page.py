"""The report on a clip as one HTML file: pictures are inside, nothing is loaded, no script runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from deepfake_seq.explain import pictures
from deepfake_seq.explain.clip_report import NO_PROOF, ClipReport
from deepfake_seq.explain.drawing import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, TimelineDrawing, timeline
from deepfake_seq.explain.explanation import MAX_MAPPED_PEOPLE, Explanation, PersonExplanation
from deepfake_seq.explain.wording import (
    BLOCK_NAMES,
    FAINT,
    REGION_NAMES,
    factor,
    level_sentences,
    percent,
    region_summary,
)
from deepfake_seq.face_regions import REGIONS
from deepfake_seq.sequence.reports import html
from deepfake_seq.support import Support
from deepfake_seq.verdict import FAKE, REAL
from deepfake_seq.verdict_text import support_sentence, threshold_text

MAX_PEOPLE = 6
"""Number of people, the most suspicious ones, who are shown with their frames."""


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
        maps: The pictures of each mapped frame.
    """

    number: int
    person: PersonExplanation
    support: str
    timeline: TimelineDrawing | None
    crops: tuple[tuple[bytes, str], ...]
    regions: tuple[tuple[str, str, str, float], ...]
    region_summary: str
    blocks: tuple[tuple[str, ...], ...]
    maps: tuple[pictures.MapPictures, ...]


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
    supports, threshold = report.people_support, report.verdict.threshold
    return html.render(
        "clip.html.j2",
        __package__ or "",
        report=report,
        verdict=report.verdict,
        threshold=threshold_text(report.verdict),
        no_proof=NO_PROOF,
        levels=level_sentences(),
        people=[
            _person(number, person, supports[number - 1], report.explanation, threshold)
            for number, person in sorted(shown)
        ],
        people_left_out=len(people) - len(shown),
        places=_places(people),
        frame_size=(WIDTH, HEIGHT, LEFT, TOP, BOTTOM),
        block_names=BLOCK_NAMES,
        max_mapped_people=MAX_MAPPED_PEOPLE,
        percent=percent,
    )


def _rank(person: PersonExplanation) -> float:
    return -math.inf if person.log_odds is None else person.log_odds


def _person(
    number: int,
    person: PersonExplanation,
    support: Support | None,
    explanation: Explanation,
    threshold: float,
) -> PersonView:
    crops = []
    for frame in person.frames:
        caption = f"{frame.pts_seconds:.2f} s"
        if frame.score is not None:
            caption += f", score {frame.score:.2f}"
        elif frame.log_odds is not None:
            caption += f", {factor(frame.log_odds)}"
        crops.append((pictures.face(frame.crop_rgb), caption))
    regions = sorted(person.regions.items(), key=lambda item: -item[1])
    longest = max((abs(value) for _, value in regions), default=0.0)
    return PersonView(
        number=number,
        person=person,
        support=support_sentence(support, "the person's score") if support else "",
        timeline=None if person.log_odds is None else timeline(person, explanation, threshold),
        crops=tuple(crops),
        regions=tuple(
            (
                REGION_NAMES[name],
                factor(value),
                FAKE if value > 0 else REAL,
                abs(value) / max(longest, FAINT),
            )
            for name, value in regions
        ),
        region_summary=region_summary(person.regions),
        blocks=tuple(
            (REGION_NAMES[name], *(factor(values[name]) for values in person.blocks.values()))
            for name in (REGIONS if person.blocks else ())
        ),
        maps=tuple(pictures.maps_of(person)),
    )


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
