"""Verdicts: from the records of a clip and the model of a run to real, fake or inconclusive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import MIN_VALID_FRAMES
from deepfake_seq.sequence.evaluation.matched import CONDITIONS, ConditionTable, MatchedRates
from deepfake_seq.sequence.evaluation.reference import ReferenceClips, ReferenceComparison
from deepfake_seq.sequence.evaluation.threshold import Decision
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.store import FeatureRecord
from deepfake_seq.store.record_ids import CONDITIONS_FACT

REAL, FAKE, INCONCLUSIVE = "real", "fake", "inconclusive"

Span = tuple[float, float]
"""Start and end of a part of a clip in seconds."""

TOO_FEW_FRAMES, SMALL_FACE, ABSTENTION = "too_few_frames", "small_face", "abstention"
NO_COMPARABLE_CLIPS = "no_comparable_clips"
CRASH = "crash"
"""Causes of an inconclusive verdict, besides the status of a record that failed or is partial.

Only `deepseq serve` survives a `crash`: the clip killed the process that classified it, twice.
"""


@dataclass(frozen=True)
class PersonVerdict:
    """The verdict on one person in a clip.

    Attributes:
        verdict: `real`, `fake` or `inconclusive`.
        score: Calibrated probability of fake, 0 to 1; None if inconclusive.
        reason: Why the verdict is inconclusive; "" otherwise.
        frames_used: Number of frames that show the person's face.
        start_seconds: Presentation time of the first of these frames.
        end_seconds: Presentation time of the last of these frames.
        box_xyxy: The face in the first of these frames: left, top, right, bottom in pixels.
        frame_size: Width and height of that frame in pixels.
        face_pixels: Mean side of the face box in pixels.
        cause: Kind of the reason; see `Verdict`.
        matched: Error rates of the run under the conditions of these frames; None if the run has no
            table of them.
        reference: Where the person lies among genuine clips of them; None without such clips.
    """

    verdict: str
    score: float | None
    reason: str
    frames_used: int
    start_seconds: float
    end_seconds: float
    box_xyxy: tuple[float, float, float, float]
    frame_size: tuple[int, int]
    face_pixels: float
    cause: str = ""
    matched: MatchedRates | None = None
    reference: ReferenceComparison | None = None


@dataclass(frozen=True)
class WindowVerdict:
    """The verdict on a part of a clip.

    Attributes:
        start_seconds: Start of the part.
        end_seconds: End of the part.
        verdict: `real`, `fake` or `inconclusive`; that of the most suspicious person.
        score: Calibrated probability of fake, 0 to 1; None if inconclusive.
        reason: Why the verdict is inconclusive; "" otherwise.
        people: The people in this part, most prominent first.
        cause: Kind of the reason; see `Verdict`.
    """

    start_seconds: float
    end_seconds: float
    verdict: str
    score: float | None
    reason: str
    people: tuple[PersonVerdict, ...]
    cause: str = ""


@dataclass(frozen=True)
class ClipFile:
    """What is known of the file of a clip; None if it could not be read.

    Attributes:
        sha256: SHA-256 of the file in hexadecimal.
        size_bytes: Size of the file.
        codec: FFmpeg's name of the video codec.
        width: Width of the first sampled frame in pixels, as displayed.
        height: Height of that frame in pixels.
        fps: Frames per second according to the container; 0 if it does not say.
        duration_seconds: Duration of the video.
        frames_total: Number of frames.
    """

    sha256: str | None = None
    size_bytes: int | None = None
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    duration_seconds: float | None = None
    frames_total: int | None = None


@dataclass(frozen=True)
class Verdict:
    """The verdict on one clip, and its basis.

    Attributes:
        path: Path of the clip.
        verdict: `real`, `fake` or `inconclusive`; that of the most suspicious person and window.
        score: Calibrated probability of fake, 0 to 1; None if inconclusive.
        threshold: Scores of at least this are called fake; follows from `matched` if that decides.
        decision: Threshold and abstention band of the run, and the clips they were chosen on.
        data: Name of the data that the run was trained on.
        frames_used: Number of frames that show the face of the person that decided.
        frames_sampled: Number of sampled frames.
        reason: Why the verdict is inconclusive; "" otherwise.
        run: Path of the run directory.
        people: Everyone whose face was found, most prominent first; of the window that decided, if
            there are several.
        windows: The verdict on each window; empty if the clip was judged as a whole.
        cause: Kind of the reason: `no_face`, `decode_error` or another status of a record that
            failed or is partial, `too_few_frames`, `small_face`, `abstention`,
            `no_comparable_clips` or `crash`; "" if the verdict is not inconclusive.
        file: What is known of the file.
        matched: Error rates of the run under the conditions of the person that decided; None if the
            run has no table of them, or the person has no score.
        reference: Where the person that decided lies among genuine clips of them; None without such
            clips, or if the person has no score.
    """

    path: str
    verdict: str
    score: float | None
    threshold: float
    decision: Decision
    data: str
    frames_used: int
    frames_sampled: int
    reason: str
    run: str
    people: tuple[PersonVerdict, ...] = ()
    windows: tuple[WindowVerdict, ...] = ()
    cause: str = ""
    file: ClipFile = ClipFile()
    matched: MatchedRates | None = None
    reference: ReferenceComparison | None = None


@dataclass(frozen=True)
class Basis:
    """What verdicts are based on in addition to the model of a run.

    Attributes:
        table: Error rates of the run by conditions, if they were measured.
        reference: Genuine clips of the person, if there are any.
    """

    table: ConditionTable | None = None
    reference: ReferenceClips | None = None


class _Judged(NamedTuple):
    """A record with its score, or -1 if it supports none, and the verdict on it."""

    score: float
    verdict: str
    reason: str
    record: FeatureRecord
    cause: str = ""
    matched: MatchedRates | None = None
    reference: ReferenceComparison | None = None

    @property
    def reported_score(self) -> float | None:
        """The score, unless the verdict is inconclusive."""
        return None if self.verdict == INCONCLUSIVE else self.score


def classify(
    records: Sequence[FeatureRecord],
    path: Path,
    model: SequenceModel,
    run_folder: Path,
    basis: Basis = Basis(),
) -> Verdict:
    """Return the verdict on one clip; inconclusive if its records do not support one.

    Args:
        records: A record for each person in the clip; the highest score decides. People whose
            record supports no score are reported, but do not change the verdict on the others.
        path: Path of the clip.
        model: Model of the run.
        run_folder: Path of the run directory.
        basis: Error rates by conditions and genuine clips, if there are any.
    """
    return _verdict([_judge(record, model, basis) for record in records], path, model, run_folder)


def classify_windows(
    windows: Sequence[tuple[Span, Sequence[FeatureRecord]]],
    path: Path,
    model: SequenceModel,
    run_folder: Path,
    basis: Basis = Basis(),
) -> Verdict:
    """Return the verdict on a clip whose windows were extracted one by one.

    Args:
        windows: Start and end of each window, and a record for each person in it.
        path: Path of the clip.
        model: Model of the run.
        run_folder: Path of the run directory.
        basis: Error rates by conditions and genuine clips, if there are any.
    """
    judged = [[_judge(record, model, basis) for record in records] for _, records in windows]
    worst = max(judged, key=lambda people: max(person.score for person in people))
    verdicts = []
    for (span, _), people in zip(windows, judged, strict=True):
        decisive = _decisive(people)
        verdicts.append(
            WindowVerdict(
                *span,
                decisive.verdict,
                decisive.reported_score,
                decisive.reason,
                _people(people),
                decisive.cause,
            )
        )
    return _verdict(worst, path, model, run_folder, tuple(verdicts))


def _verdict(
    judged: Sequence[_Judged],
    path: Path,
    model: SequenceModel,
    run_folder: Path,
    windows: tuple[WindowVerdict, ...] = (),
) -> Verdict:
    decisive = _decisive(judged)
    matched = decisive.matched
    return Verdict(
        path=str(path),
        verdict=decisive.verdict,
        score=decisive.reported_score,
        threshold=matched.threshold if matched else model.decision.threshold,
        decision=model.decision,
        data=model.data,
        frames_used=decisive.record.frames_valid,
        frames_sampled=int(decisive.record.facts.get("frames_sampled", 0)),
        reason=decisive.reason,
        run=str(run_folder),
        people=_people(judged),
        windows=windows,
        cause=decisive.cause,
        file=_file(decisive.record),
        matched=matched,
        reference=decisive.reference,
    )


def _file(record: FeatureRecord) -> ClipFile:
    source, facts = record.source, record.facts
    names = ("codec", "width", "height", "fps", "duration_seconds", "frames_total")
    known: dict[str, Any] = {name: facts.get(name) for name in names}
    return ClipFile(source.sha256 or None, source.size_bytes or None, **known)


def _decisive(judged: Sequence[_Judged]) -> _Judged:
    """Return the most suspicious person; the most prominent one if no person has a score."""
    return max(judged, key=lambda person: person.score)


def _people(judged: Sequence[_Judged]) -> tuple[PersonVerdict, ...]:
    return tuple(_person(person) for person in judged if person.record.frames_valid)


def _person(judged: _Judged) -> PersonVerdict:
    record = judged.record
    left, top, right, bottom = (round(float(value), 1) for value in record.boxes_xyxy[0])
    width, height = record.sizes[0].tolist()
    return PersonVerdict(
        verdict=judged.verdict,
        score=judged.reported_score,
        reason=judged.reason,
        frames_used=record.frames_valid,
        start_seconds=round(float(record.pts_seconds[0]), 3),
        end_seconds=round(float(record.pts_seconds[record.frames_valid - 1]), 3),
        box_xyxy=(left, top, right, bottom),
        frame_size=(width, height),
        face_pixels=round(record.face_pixels, 1),
        cause=judged.cause,
        matched=judged.matched,
        reference=judged.reference,
    )


def mean_features(record: FeatureRecord) -> npt.NDArray[np.float64]:
    """Return the mean features of a record over its valid frames, (D,)."""
    return np.asarray(record.features[record.mask].mean(axis=0, dtype=np.float64))


def _judge(record: FeatureRecord, model: SequenceModel, basis: Basis) -> _Judged:
    """Score a record; if it or its score supports no verdict, the verdict is inconclusive."""
    conditions = record.facts.get(CONDITIONS_FACT, {})
    table = basis.table if all(name in conditions for name in CONDITIONS) else None
    cause, reason = _shortcoming(record, model, table)
    if cause:
        return _Judged(-1.0, INCONCLUSIVE, reason, record, cause)
    score = float(model.scores_of(model.arrays_of(record))[0])
    matched = table.rates(conditions, score, model.decision) if table else None
    reference = None
    if basis.reference is not None:
        reference = basis.reference.compare(
            record.source.sha256, mean_features(record), score, conditions
        )
    verdict, cause, reason = _call(score, model.decision, matched)
    return _Judged(score, verdict, reason, record, cause, matched, reference)


def _call(score: float, decision: Decision, matched: MatchedRates | None) -> tuple[str, str, str]:
    """Return the verdict on a score, with cause and reason if it is inconclusive."""
    whose = "the run's abstention band"
    if matched and matched.decides:
        if matched.reason:
            return INCONCLUSIVE, NO_COMPARABLE_CLIPS, f"no comparable clips ({matched.reason})"
        decision = replace(decision, threshold=matched.threshold, band=matched.band)
        whose = "the abstention band of the run for clips like this one"
    if decision.is_doubtful(score):
        low, high = decision.band
        reason = f"its score is in {whose}, from {low:.3f} to below {high:.3f}"
        return INCONCLUSIVE, ABSTENTION, reason
    return (FAKE if score >= decision.threshold else REAL), "", ""


def _shortcoming(
    record: FeatureRecord, model: SequenceModel, table: ConditionTable | None
) -> tuple[str, str]:
    """Return cause and reason why a record does not support a verdict, each "" if it does."""
    if record.failed or record.status == "partial":
        return record.status, f"{record.status}: {record.reason}"
    if record.frames_valid < MIN_VALID_FRAMES:
        return TOO_FEW_FRAMES, _too_few_frames(record)
    if table is not None and table.decides:
        return "", ""  # the table says whether it covers faces of this size
    smallest = model.decision.smallest_face
    if round(record.face_pixels) < smallest:
        return SMALL_FACE, (
            f"the face is {record.face_pixels:.0f} pixels wide; this run was validated on faces "
            f"at least {smallest} pixels wide"
        )
    return "", ""


def _too_few_frames(record: FeatureRecord) -> str:
    """Return the reason why a record of few frames does not support a verdict."""
    sampled, needed = record.facts.get("frames_sampled", len(record.mask)), MIN_VALID_FRAMES
    shots = record.facts.get("shots", 1)
    if record.facts.get("resampled"):
        times = record.pts_seconds[record.mask]
        return (
            f"only {record.frames_valid} of the {sampled} frames sampled from {times[0]:.1f} to "
            f"{times[-1]:.1f} s, the longest shot of this person, show the face; the clip has "
            f"{shots} shots; at least {needed} frames are needed"
        )
    if shots != 1:
        return (
            f"the longest shot of one person has {record.frames_valid} of {sampled} sampled "
            f"frames; {shots} shots; at least {needed} frames are needed"
        )
    return f"only {record.frames_valid} sampled frames show the face; at least {needed} are needed"
