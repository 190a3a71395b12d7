"""Verdicts on records, without videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conditions import conditions, made_up_table
from mean_model import CLIPS, mean_model
from records import make_record

from deepfake_seq.sequence.evaluation.novelty import CommonSubspace, NoveltyScore
from deepfake_seq.sequence.evaluation.reference import ReferenceClips
from deepfake_seq.store import FeatureRecord
from deepfake_seq.verdict import (
    Basis,
    Verdict,
    classify,
    classify_windows,
    mean_features,
    suspicion,
)
from deepfake_seq.verdict_text import threshold_text


def verdict(*records: FeatureRecord, **changes: Any) -> Verdict:
    return classify(records, Path("clip.mp4"), mean_model(**changes), Path("runs/x"))


def about(shift: float, **changes: Any) -> FeatureRecord:
    record = make_record(**changes)
    record.features[record.mask] = shift
    return record


def test_scores_in_the_abstention_band_are_inconclusive() -> None:
    assert verdict(about(0.5)).verdict == "fake"
    assert verdict(about(-0.5)).verdict == "real"
    doubtful = verdict(about(0.0))
    assert (doubtful.verdict, doubtful.score) == ("inconclusive", None)
    assert (doubtful.cause, doubtful.people[0].cause) == ("abstention", "abstention")
    assert "abstention band, from 0.400 to below 0.600" in doubtful.reason


def test_without_an_abstention_band_every_score_gives_a_verdict() -> None:
    assert verdict(about(0.0), band=(0.5, 0.5)).verdict == "fake"


@pytest.mark.parametrize(
    ("record", "cause", "reason"),
    [
        (
            about(5.0, valid=7),
            "too_few_frames",
            "only 7 sampled frames show the face; at least 8 are needed",
        ),
        (
            about(5.0, status="partial", reason="it ended early"),
            "partial",
            "partial: it ended early",
        ),
        (make_record(valid=0), "no_face", "no_face: no face in the 16 sampled frames"),
    ],
    ids=["few frames", "partial", "no face"],
)
def test_a_record_with_too_few_frames_gets_no_score(
    record: FeatureRecord, cause: str, reason: str
) -> None:
    result = verdict(record)
    assert (result.verdict, result.score, result.reason) == ("inconclusive", None, reason)
    assert result.cause == cause


def test_the_highest_score_of_several_people_decides() -> None:
    real, doubtful, fake = about(-0.5), about(0.0), about(0.5)
    unseen = make_record(valid=3)
    assert verdict(real, fake, unseen).verdict == "fake"
    assert verdict(real, unseen).verdict == "real"
    assert verdict(real, doubtful).verdict == "inconclusive", "one of them may be a fake"


def test_a_verdict_contains_its_basis() -> None:
    result = verdict(about(0.5))
    assert result.decision.clips == CLIPS and result.data == "celeb-df-v2"
    assert result.decision.basis == (
        "set for a false-positive rate of 5.0% on 40 real and 30 fake validation clips"
    )


def test_everyone_in_the_clip_has_a_verdict() -> None:
    unseen = make_record(valid=3)
    result = verdict(about(-0.5), about(0.5), unseen, make_record(valid=0))
    assert [person.verdict for person in result.people] == ["real", "fake", "inconclusive"]
    assert [person.frames_used for person in result.people] == [16, 16, 3]
    first = result.people[0]
    assert (first.start_seconds, first.end_seconds) == (0.0, 1.5)
    assert first.box_xyxy == (10.0, 20.0, 110.0, 140.0)
    assert first.frame_size == (160, 160)


def test_a_face_smaller_than_those_of_the_validation_clips_gets_no_verdict() -> None:
    boxes = np.tile(np.array([0, 0, 36, 36], np.float32), (16, 1))
    result = verdict(about(0.5, boxes_xyxy=boxes), smallest_face=80)
    assert (result.verdict, result.score) == ("inconclusive", None)
    assert result.reason == (
        "the face is 36 pixels wide; this run was validated on faces at least 80 pixels wide"
    )
    assert verdict(about(0.5, boxes_xyxy=boxes), smallest_face=36).verdict == "fake"


def test_the_reason_in_an_edited_clip_names_the_longest_shot() -> None:
    record = about(0.5, valid=3, facts={"frames_sampled": 16, "shots": 5})
    assert verdict(record).reason == (
        "the longest shot of one person has 3 of 16 sampled frames; 5 shots; at least 8 frames are "
        "needed"
    )


def test_the_reason_for_a_person_sampled_again_names_the_time() -> None:
    facts = {"frames_sampled": 16, "shots": 5, "resampled": True}
    assert verdict(about(0.5, valid=6, facts=facts)).reason == (
        "only 6 of the 16 frames sampled from 0.0 to 0.5 s, the longest shot of this person, show "
        "the face; the clip has 5 shots; at least 8 frames are needed"
    )


def test_the_most_suspicious_window_decides() -> None:
    windows = [
        ((0.0, 2.0), [about(-0.5)]),
        ((2.0, 4.0), [about(-0.5), about(0.5)]),
        ((4.0, 6.0), [make_record(valid=0)]),
    ]
    result = classify_windows(windows, Path("clip.mp4"), mean_model(), Path("runs/x"))
    assert result.verdict == "fake"
    assert [window.verdict for window in result.windows] == ["real", "fake", "inconclusive"]
    assert [(window.start_seconds, window.end_seconds) for window in result.windows] == [
        (0.0, 2.0),
        (2.0, 4.0),
        (4.0, 6.0),
    ]
    assert [person.verdict for person in result.people] == ["real", "fake"]
    assert result.score == result.windows[1].score
    suspicions = [suspicion(records, mean_model()) for _, records in windows]
    assert suspicions.index(max(suspicions)) == 1 and suspicions[2] == -1


def test_a_clip_without_windows_lists_none() -> None:
    assert verdict(about(0.5)).windows == ()


def matched_verdict(record: FeatureRecord, clips: int = 400, **changes: Any) -> Verdict:
    table = made_up_table(clips)
    return classify([record], Path("clip.mp4"), mean_model(**changes), Path("runs/x"), Basis(table))


def under(
    shift: float, face_pixels: float = 200, blockiness: float = 0.05, **changes: Any
) -> FeatureRecord:
    facts = {"conditions": conditions(face_pixels, blockiness)}
    return about(shift, facts=facts, **changes)


def test_the_threshold_of_a_verdict_follows_from_comparable_clips() -> None:
    clean, poor = under(0.05), under(0.05, face_pixels=60, blockiness=0.4)
    band = (0.5, 0.5)
    assert matched_verdict(clean, band=band).verdict == "fake"
    judged = matched_verdict(poor, band=band)
    assert judged.verdict != "fake" and judged.threshold > 0.5
    assert judged.matched is not None and judged.people[0].matched == judged.matched
    fake = matched_verdict(clean, band=band)
    assert "clips of celeb-df-v2 made to look like this one" in threshold_text(fake)
    assert threshold_text(verdict(clean, band=band)) == (
        "0.500, set for a false-positive rate of 5.0% on 40 real and 30 fake validation clips of "
        "celeb-df-v2"
    )


def test_without_comparable_clips_a_verdict_is_inconclusive() -> None:
    judged = matched_verdict(under(0.9, face_pixels=10))
    assert (judged.verdict, judged.score) == ("inconclusive", None)
    assert (judged.cause, judged.people[0].cause) == ("no_comparable_clips",) * 2
    assert judged.reason.startswith("no comparable clips (the face is 10 pixels wide")


def test_a_table_of_few_people_changes_no_verdict() -> None:
    judged = matched_verdict(under(0.9, face_pixels=10), clips=30)
    assert judged.verdict == "fake" and judged.threshold == 0.5
    assert judged.matched is not None and not judged.matched.decides


def test_the_table_replaces_the_smallest_validated_face() -> None:
    record = under(0.9, face_pixels=60)
    assert verdict(record, smallest_face=400).verdict == "inconclusive"
    assert matched_verdict(record, smallest_face=400).verdict == "fake"
    assert matched_verdict(record, clips=30, smallest_face=400).verdict == "inconclusive"


def test_a_record_without_conditions_is_judged_as_before() -> None:
    judged = matched_verdict(about(0.5))
    assert judged.verdict == "fake" and judged.matched is None


def test_a_clip_is_compared_with_genuine_clips_of_the_person() -> None:
    records = [
        under(-0.5 - number / 100, seed=number, video_id=f"{number}.mp4") for number in range(12)
    ]
    genuine = ReferenceClips(
        tuple(record.source.sha256 for record in records),
        np.array([mean_features(record) for record in records]),
        np.full(12, 0.01),
        tuple(record.facts["conditions"] for record in records),
    )
    judged = classify(
        [under(0.9, video_id="asked.mp4")],
        *(Path("clip.mp4"), mean_model(), Path("runs/x")),
        Basis(reference=genuine),
    )
    assert judged.verdict == "fake", "the comparison changes no verdict"
    assert judged.reference is not None and judged.reference == judged.people[0].reference
    assert judged.reference.score_p == pytest.approx(1 / 13)


def novelty_of(clips: int) -> NoveltyScore:
    """Return a score for features of width 8; training clips differ in the first one only."""
    common = np.eye(1, 8, dtype=np.float32)
    scale = np.ones(8, dtype=np.float32)
    residuals = np.linspace(0.0, 0.1, clips)
    return NoveltyScore((CommonSubspace(np.zeros(8, np.float32), scale, common, residuals),))


def test_a_clip_unlike_the_validation_clips_is_inconclusive_if_that_is_requested() -> None:
    model = mean_model(novelty=novelty_of(99))
    arguments = ([about(0.5)], Path("clip.mp4"), model, Path("runs/x"))
    kept = classify(*arguments)
    assert kept.verdict == "fake" and kept.novelty is not None
    assert (kept.novelty.clips, kept.novelty.p) == (99, pytest.approx(0.01))
    assert kept.novelty == kept.people[0].novelty
    judged = classify(*arguments, Basis(novelty_alpha=0.01))
    assert (judged.verdict, judged.cause, judged.score) == ("inconclusive", "novel", None)
    assert judged.reason == (
        "unlike the clips this run was validated on: its novelty p-value among 99 validation clips "
        "is 0.010"
    )
    usual = classify([about(0.01)], *arguments[1:], Basis(novelty_alpha=0.01))
    assert usual.cause != "novel"


def test_without_a_novelty_score_nothing_is_said_about_novelty() -> None:
    assert verdict(about(0.5)).novelty is None
