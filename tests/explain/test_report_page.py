"""What the page of a report shows."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mean_model import Mean, mean_model
from records import make_record

from deepfake_seq.config import ExplainConfig
from deepfake_seq.explain.capture import CapturedClip, SampledFrame
from deepfake_seq.explain.clip_report import ClipReport, document
from deepfake_seq.explain.drawing import timeline
from deepfake_seq.explain.explanation import Explainer, PersonExplanation
from deepfake_seq.explain.occlusion import CROPS_PER_FRAME
from deepfake_seq.explain.page import MAX_PEOPLE, render
from deepfake_seq.explain.provenance import Provenance
from deepfake_seq.explain.run_facts import ErrorRate, RunFacts
from deepfake_seq.explain.wording import factor
from deepfake_seq.extract.faces import Face
from deepfake_seq.extract.faces.people import Person
from deepfake_seq.extract.video.file_facts import FileFacts
from deepfake_seq.support import support_of
from deepfake_seq.verdict import classify

FRAMES = 16


class Resolved:
    """The settings that explanations read, without weights files."""

    class config:  # noqa: N801
        class faces:  # noqa: N801
            is_lossy, margin = False, 0.3

    class backbone:  # noqa: N801
        crop_size = 32


def person(left: float) -> Person:
    generator = np.random.default_rng(int(left))
    box = np.array([left, 20, left + 40, 80], dtype=np.float32)
    return Person(
        squares_rgb=[
            generator.integers(0, 256, (48, 48, 3), dtype=np.uint8) for _ in range(FRAMES)
        ],
        faces=[Face(box, 0.9)] * FRAMES,
        frame_index=np.arange(FRAMES) * 3,
        pts_seconds=np.arange(FRAMES) * 0.1,
        frame_size=np.full((FRAMES, 2), 160, dtype=np.int32),
        filled=0,
    )


class ExactMean(Mean):
    """The network in float64, so that the logit of a clip is the mean over its frames."""

    def logits(self, arrays: Any) -> Any:
        return super().logits((arrays[0].astype(np.float64), arrays[1]))


def blocks_of(faces: Any) -> Any:
    """Return the mean grey level of each crop as its features."""
    means = np.array([square.mean() / 255 for square, _ in faces], dtype=np.float32)
    return {"features": np.repeat(means[:, None], 8, axis=1)}


def report(*shifts: float, maps: int = 1, path: str = "clip.mp4") -> ClipReport:
    """Return the report on a clip with a person for each mean of the features."""
    model = mean_model(members=(ExactMean(),))
    records = []
    for seed, shift in enumerate(shifts):
        record = make_record(seed=seed)
        record.features[:] = shift + 0.1 * record.features
        records.append(record)
    image = np.zeros((120, 160, 3), dtype=np.uint8)
    frames = tuple(SampledFrame(3 * at, 0.1 * at, image, (160, 160)) for at in range(FRAMES))
    people = tuple(person(50.0 * at) for at in range(len(shifts)))
    verdict = classify(records, Path(path), model, Path("runs/x"))
    explainer = Explainer(model, Resolved(), blocks_of, ExplainConfig(maps=maps))  # type: ignore[arg-type]
    clip = CapturedClip(frames, (8,), people, 2.0)
    explanation = explainer.with_maps(explainer.explain(verdict, records, clip), records, clip)
    supports = tuple(
        person.log_odds and support_of(person.verdict.verdict, person.log_odds, model.decision)
        for person in explanation.people
    )
    run = RunFacts(
        "runs/x", "mean", "some data", "2026-01-01", {"model.json": "0" * 64}, {}, "f" * 12,
        {"test": 3}, model.decision, ("a warning",), (),
    )  # fmt: skip
    return ClipReport(
        verdict=verdict,
        support=next((one for one in supports if one), None) if verdict.score else None,
        people_support=supports,
        explanation=explanation,
        file=FileFacts("MP4", {"codec": "H.264"}, ("audio, aac",), {"encoder": "Lavf<1>"}),
        provenance=Provenance("absent", "the file contains no C2PA manifest"),
        run=run,
        versions={"deepseq": "0"},
        command="deepseq report clip.mp4",
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:00:01+00:00",
    )


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_each_person_has_a_timeline_with_a_bar_per_frame() -> None:
    made = report(0.5, -0.5)
    page = render(made)
    assert page.count("Timeline of person") == 2
    first, second = made.explanation.people
    drawing = timeline(first, made.explanation, made.verdict.threshold)
    assert len(drawing.bars) == FRAMES and len(drawing.shots) == 1
    assert first.is_exact and drawing.summary == "16 of 16 frames score at or above the threshold."
    assert timeline(second, made.explanation, made.verdict.threshold).summary.startswith("0 of 16")
    places = [bar.x for bar in drawing.bars]
    assert places == sorted(places)


def test_text_from_files_is_escaped() -> None:
    page = render(report(0.5, path="<script>alert(1)</script>.mp4"))
    assert "<script" not in page and "Lavf&lt;1&gt;" in page


def test_an_inconclusive_person_is_shown_with_the_reason() -> None:
    made = report(0.0)
    assert made.headline == "Inconclusive"
    text = text_of(render(made))
    assert "its score is in the run's abstention band" in text
    assert "Timeline" in text, "the score exists, so the frames are shown"


def test_only_the_most_suspicious_of_many_people_are_shown_in_full() -> None:
    made = report(*np.linspace(-1, 1, MAX_PEOPLE + 2), maps=0)
    page = render(made)
    assert page.count('<section class="person">') == MAX_PEOPLE
    assert f"the {MAX_PEOPLE} most suspicious people" in text_of(page)
    assert "Person 1:" not in text_of(page) and f"Person {MAX_PEOPLE + 2}:" in text_of(page)


def test_sound_is_named_as_not_examined() -> None:
    assert "Sound, and whether it fits the lips. The file has sound." in report(0.5).not_examined


def test_maps_cover_at_most_two_people() -> None:
    made = report(0.5, 0.6, 0.7)
    mapped = [bool(person.maps) for person in made.explanation.people]
    assert mapped == [False, True, True]
    assert made.explanation.map_crops == 2 * CROPS_PER_FRAME
    assert (
        document(made)["explanation"]["people"][1]["maps"][0]["frame"]
        == made.explanation.people[1].maps[0].row
    )


def test_without_maps_the_reason_is_given() -> None:
    made = report(0.5, maps=0)
    assert "Maps were not requested" in text_of(render(made))
    assert not made.explanation.people[0].regions


def test_no_region_is_named_if_all_contribute_about_the_same() -> None:
    made = report(0.5)
    (explained,) = made.explanation.people
    page = render(with_regions(made, explained, mouth=0.6, eyes=0.55, nose=0.5))
    assert "No region stands out" in page
    page = render(with_regions(made, explained, mouth=0.6, eyes=0.1, nose=0.0))
    assert "The part that speaks most for fake: mouth." in page
    page = render(with_regions(made, explained, mouth=-0.6, eyes=0.01, nose=0.0))
    assert "No region speaks for fake" in page


def with_regions(made: ClipReport, explained: PersonExplanation, **regions: float) -> ClipReport:
    people = (replace(explained, regions=regions),)
    return replace(made, explanation=replace(made.explanation, people=people))


@pytest.mark.parametrize(
    ("wrong", "clips", "low", "high"),
    [(0, 10, 0.0, 0.278), (1, 10, 0.018, 0.404), (5, 10, 0.237, 0.763)],
)
def test_error_rates_have_wilson_intervals(wrong: int, clips: int, low: float, high: float) -> None:
    rate = ErrorRate.of(wrong, clips)
    assert rate.interval == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))
    assert ErrorRate.of(0, 0).rate is None


def test_contributions_are_factors_of_the_odds() -> None:
    assert factor(0.0) == "× 1.00" and factor(0.693147) == "× 2.00"
    assert factor(20.0) == "× 4.9e+08"
