"""Verdicts: from the records of a clip and the model of a run to real, fake or inconclusive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import MIN_VALID_FRAMES
from deepfake_seq.sequence.evaluation.matched import CONDITIONS, ConditionTable, MatchedRates
from deepfake_seq.sequence.evaluation.novelty import Novelty
from deepfake_seq.sequence.evaluation.reference import ReferenceClips, ReferenceComparison
from deepfake_seq.sequence.evaluation.threshold import Decision
from deepfake_seq.sequence.region_contributions import region_contributions
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.store import FeatureRecord
from deepfake_seq.store.record_ids import CONDITIONS_FACT

REAL, FAKE, INCONCLUSIVE = "real", "fake", "inconclusive"

Span = tuple[float, float]
"""Start and end of a part of a clip in seconds."""

TOO_FEW_FRAMES, SMALL_FACE, ABSTENTION = "too_few_frames", "small_face", "abstention"
NO_COMPARABLE_CLIPS, NOVEL = "no_comparable_clips", "novel"
CRASH = "crash"
"""Causes of an inconclusive verdict, besides the status of a record that failed or is partial.

Only `deepseq serve` survives a `crash`: the clip killed the process that classified it, twice.
"""


@dataclass(frozen=True, kw_only=True)
class PartVerdict:
    """The verdict on a part of a clip: a person or a window.

    Attributes:
        verdict: `real`, `fake` or `inconclusive`.
        score: Calibrated probability of fake, 0 to 1; None if inconclusive.
        reason: Why the verdict is inconclusive; "" otherwise.
        start_seconds: Start of the part.
        end_seconds: End of the part.
        cause: Kind of the reason; see `Verdict`.
    """

    verdict: str
    score: float | None
    reason: str
    start_seconds: float
    end_seconds: float
    cause: str = ""


@dataclass(frozen=True, kw_only=True)
class PersonVerdict(PartVerdict):
    """The verdict on one person in a clip, from the first to the last frame that shows them.

    Attributes:
        frames_used: Number of frames that show the person's face.
        box_xyxy: The face in the first of these frames: left, top, right, bottom in pixels.
        frame_size: Width and height of that frame in pixels.
        face_pixels: Mean side of the face box in pixels.
        matched: Error rates of the run under the conditions of these frames; None if the run has no
            table of them.
        reference: Where the person lies among genuine clips of them; None without such clips.
        novelty: How unlike the clips of the run these frames are; None if the run does not measure
            it, or no score could be computed.
        regions: What each face region contributes to the log-odds of fake; empty if no score could
            be computed, and for runs that use no evidence block with regions.
    """

    frames_used: int
    box_xyxy: tuple[float, float, float, float]
    frame_size: tuple[int, int]
    face_pixels: float
    matched: MatchedRates | None = None
    reference: ReferenceComparison | None = None
    novelty: Novelty | None = None
    regions: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WindowVerdict(PartVerdict):
    """The verdict on a window of a clip; that of the most suspicious person.

    Attributes:
        people: The people in the window, most prominent first.
    """

    people: tuple[PersonVerdict, ...]


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
            `no_comparable_clips`, `novel` or `crash`; "" if the verdict is not inconclusive.
        file: What is known of the file.
        matched: Error rates of the run under the conditions of the person that decided; None if the
            run has no table of them, or the person has no score.
        reference: Where the person that decided lies among genuine clips of them; None without such
            clips, or if the person has no score.
        novelty: `PersonVerdict.novelty` of the person that decided.
        regions: `PersonVerdict.regions` of the person that decided.
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
    novelty: Novelty | None = None
    regions: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Basis:
    """What verdicts are based on in addition to the model of a run.

    Attributes:
        table: Error rates of the run by conditions, if they were measured.
        reference: Genuine clips of the person, if there are any.
        novelty_alpha: Clips with a novelty p-value of at most this are inconclusive.
    """

    table: ConditionTable | None = None
    reference: ReferenceClips | None = None
    novelty_alpha: float = 0.0


class _Judged(NamedTuple):
    """A record with its score, or -1 if it supports none, and the verdict on it."""

    score: float
    verdict: str
    reason: str
    record: FeatureRecord
    cause: str = ""
    matched: MatchedRates | None = None
    reference: ReferenceComparison | None = None
    novelty: Novelty | None = None
    regions: Mapping[str, float] = {}

    @property
    def outcome(self) -> dict[str, Any]:
        """The attributes that verdicts on clips, people and windows share."""
        return {
            "verdict": self.verdict,
            "score": None if self.verdict == INCONCLUSIVE else self.score,
            "reason": self.reason,
            "cause": self.cause,
        }

    @property
    def comparisons(self) -> dict[str, Any]:
        """The attributes that only verdicts on clips and people share."""
        return {
            "matched": self.matched,
            "reference": self.reference,
            "novelty": self.novelty,
            "regions": self.regions,
        }


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


def suspicion(
    records: Sequence[FeatureRecord], model: SequenceModel, basis: Basis = Basis()
) -> float:
    """Return the highest score of the people in a clip or window; -1 if no person has one.

    The window with the highest value decides; see `classify_windows`.
    """
    return max(
        -1.0
        if _shortcoming(record, model, _table_for(record, basis))[0]
        else float(model.scores_of(model.arrays_of(record))[0])
        for record in records
    )


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
                **decisive.outcome,
                start_seconds=span[0],
                end_seconds=span[1],
                people=_people(people),
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
        **decisive.outcome,
        threshold=matched.threshold if matched else model.decision.threshold,
        decision=model.decision,
        data=model.data,
        frames_used=decisive.record.frames_valid,
        frames_sampled=int(decisive.record.facts.get("frames_sampled", 0)),
        run=str(run_folder),
        people=_people(judged),
        windows=windows,
        file=_file(decisive.record),
        **decisive.comparisons,
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
        **judged.outcome,
        frames_used=record.frames_valid,
        start_seconds=round(float(record.pts_seconds[0]), 3),
        end_seconds=round(float(record.pts_seconds[record.frames_valid - 1]), 3),
        box_xyxy=(left, top, right, bottom),
        frame_size=(width, height),
        face_pixels=round(record.face_pixels, 1),
        **judged.comparisons,
    )


def mean_features(record: FeatureRecord) -> npt.NDArray[np.float64]:
    """Return the mean features of a record over its valid frames, (D,)."""
    return np.asarray(record.features[record.mask].mean(axis=0, dtype=np.float64))


def _judge(record: FeatureRecord, model: SequenceModel, basis: Basis) -> _Judged:
    """Score a record; if it or its score supports no verdict, the verdict is inconclusive."""
    conditions = record.facts.get(CONDITIONS_FACT, {})
    table = _table_for(record, basis)
    cause, reason = _shortcoming(record, model, table)
    if cause:
        return _Judged(-1.0, INCONCLUSIVE, reason, record, cause)
    arrays = model.arrays_of(record)
    score = float(model.scores_of(arrays)[0])
    matched = table.rates(conditions, score, model.decision) if table else None
    reference = None
    if basis.reference is not None:
        reference = basis.reference.compare(
            record.source.sha256, mean_features(record), score, conditions
        )
    novelty = model.novelty.of(arrays) if model.novelty else None
    if novelty and novelty.p <= basis.novelty_alpha:
        verdict, cause, reason = INCONCLUSIVE, NOVEL, _unlike(novelty)
    else:
        verdict, cause, reason = _call(score, model.decision, matched)
    regions = region_contributions(model, arrays)
    return _Judged(score, verdict, reason, record, cause, matched, reference, novelty, regions)


def _table_for(record: FeatureRecord, basis: Basis) -> ConditionTable | None:
    """Return the table of error rates, if the conditions of a record were measured."""
    conditions = record.facts.get(CONDITIONS_FACT, {})
    return basis.table if all(name in conditions for name in CONDITIONS) else None


def _unlike(novelty: Novelty) -> str:
    return (
        "unlike the clips this run was validated on: its novelty p-value among "
        f"{novelty.clips} validation clips is {novelty.p:.3f}"
    )


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
