"""The report on one clip: its contents, and the JSON document with them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from deepfake_seq.explain import pictures
from deepfake_seq.explain.drawing import timeline
from deepfake_seq.explain.explanation import Explanation, PersonExplanation
from deepfake_seq.explain.provenance import NOT_EXAMINED, Provenance
from deepfake_seq.explain.run_facts import RunFacts
from deepfake_seq.explain.wording import BLOCK_NAMES, REGION_NAMES, region_summary
from deepfake_seq.extract.video.file_facts import FileFacts
from deepfake_seq.support import Support
from deepfake_seq.verdict import Verdict
from deepfake_seq.verdict_text import headline, in_plain_words

NO_PROOF = (
    "Absence of evidence is no proof: a low score means that the model found no sign of the kinds "
    "of fakes that it was trained on. It does not mean that the clip is authentic."
)


@dataclass(frozen=True, eq=False)
class ClipReport:
    """The contents of a report on one clip.

    Attributes:
        verdict: The verdict.
        support: How strongly the score supports it; None if it is inconclusive.
        people_support: The same for each person in `verdict.people`.
        explanation: Why the verdict.
        file: What the file says about itself.
        provenance: What its C2PA manifests say.
        run: The run that gave the verdict.
        versions: Versions of the programs and libraries.
        command: The command that made the report; "" if it was made otherwise.
        started: Time when the clip was submitted, in UTC, ISO 8601.
        finished: Time when the report was complete.
    """

    verdict: Verdict
    support: Support | None
    people_support: tuple[Support | None, ...]
    explanation: Explanation
    file: FileFacts
    provenance: Provenance
    run: RunFacts
    versions: dict[str, str]
    command: str
    started: str
    finished: str

    @property
    def headline(self) -> str:
        """The verdict and its strength in a few words."""
        return headline(self.verdict, self.support)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the verdict means, and how far to trust it."""
        return in_plain_words(self.verdict, self.support)

    @property
    def not_examined(self) -> tuple[str, ...]:
        """What was not examined, in words."""
        return tuple(_not_examined(self))


def document(report: ClipReport, *, with_pictures: bool = False) -> dict[str, Any]:
    """Return the report as plain JSON values.

    The value of `clip` is an element of the list that `predict --json` prints.

    Args:
        report: The report.
        with_pictures: Whether to add a `face` to each person, and a `caption` and the pictures
            `crop`, `coloured` and `residual` to each map: JPEG files as `data:` URLs.
    """
    explanation = report.explanation
    return {
        "format": "deepseq-report",
        "format_version": 1,
        "clip": asdict(report.verdict),
        "headline": report.headline,
        "sentences": list(report.sentences),
        "support": report.support and asdict(report.support),
        "explanation": {
            "duration_seconds": explanation.duration_seconds,
            "start_seconds": explanation.span[0],
            "end_seconds": explanation.span[1],
            "shot_seconds": list(explanation.shot_seconds),
            "people": [
                {
                    **_person(person),
                    "frame_summary": _frame_summary(person, report),
                    "support": support and asdict(support),
                    **(_pictures(person) if with_pictures else {}),
                }
                for person, support in zip(explanation.people, report.people_support, strict=True)
            ],
            "block_names": BLOCK_NAMES,
            "region_names": REGION_NAMES,
            "map_crops": explanation.map_crops,
            "map_seconds": round(explanation.map_seconds, 3),
            "without_maps": explanation.without_maps,
        },
        "file": asdict(report.file),
        "provenance": asdict(report.provenance),
        "run": asdict(report.run),
        "not_examined": list(report.not_examined),
        "limits": NO_PROOF,
        "versions": report.versions,
        "command": report.command,
        "started": report.started,
        "finished": report.finished,
    }


def _person(person: PersonExplanation) -> dict[str, Any]:
    return {
        "log_odds": person.log_odds,
        "frames_are_exact": person.is_exact,
        "frames": [
            {
                "index": frame.index,
                "pts_seconds": frame.pts_seconds,
                "log_odds": frame.log_odds,
                "score": frame.score,
            }
            for frame in person.frames
        ],
        "blocks": {name: dict(values) for name, values in person.blocks.items()},
        "regions": dict(person.regions),
        "region_summary": region_summary(person.regions),
        "maps": _maps(person),
    }


def _frame_summary(person: PersonExplanation, report: ClipReport) -> str:
    if person.log_odds is None:
        return ""
    return timeline(person, report.explanation, report.verdict.threshold).summary


def _maps(person: PersonExplanation) -> list[dict[str, Any]]:
    return [{"frame": found.row, "log_odds": found.log_odds.tolist()} for found in person.maps]


def _pictures(person: PersonExplanation) -> dict[str, Any]:
    """Return the face of a person and their maps, with the pictures."""
    face = _url(pictures.face(person.frames[0].crop_rgb)) if person.frames else None
    maps = []
    for found, shown in zip(_maps(person), pictures.maps_of(person), strict=True):
        urls = {name: _url(getattr(shown, name)) for name in ("crop", "coloured", "residual")}
        maps.append({**found, "caption": shown.caption, **urls})
    return {"face": face, "maps": maps}


def _url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _not_examined(report: ClipReport) -> Iterator[str]:
    verdict, file = report.verdict, report.file
    sound = sum(stream.startswith("audio") for stream in file.other_streams)
    if file.failure:
        yield "Sound: it is not known whether the file has any."
    elif sound:
        yield "Sound, and whether it fits the lips. The file has sound."
    else:
        yield "Sound: the file has none."
    total = verdict.file.frames_total
    if total and verdict.windows:
        yield (
            f"Frames between the sampled ones: at most {verdict.frames_sampled} in each of "
            f"{len(verdict.windows)} windows were read."
        )
    elif total and verdict.frames_sampled:
        yield f"Frames between the sampled ones: {verdict.frames_sampled} of {total:,} were read."
    unscored = sum(person.score is None for person in verdict.people)
    if unscored:
        yield f"People without a verdict: {unscored} of {len(verdict.people)}."
    yield "Faces that the detector did not find, and everything in the picture that is not a face."
    if report.provenance.state == NOT_EXAMINED:
        yield f"Provenance (C2PA manifests): {report.provenance.reason}."
    yield "Where the clip comes from, and whether it shows what it is said to show."
