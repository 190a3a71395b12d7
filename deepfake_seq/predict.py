"""Both stages on single clips: the verdict. The one place that knows extract and sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deepfake_seq import weights
from deepfake_seq.config import MIN_VALID_FRAMES, ExecutionConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import RunError
from deepfake_seq.extract.backbones import finetuned_weights
from deepfake_seq.extract.pipeline import extract_records
from deepfake_seq.extract.resolve import ResolvedConfig, resolve
from deepfake_seq.sequence.evaluation.threshold import Decision
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.store import FeatureRecord

REAL, FAKE, INCONCLUSIVE = "real", "fake", "inconclusive"


@dataclass(frozen=True)
class Verdict:
    """What is said of one clip, and on what it rests.

    Attributes:
        path: The clip.
        verdict: `real`, `fake` or `inconclusive`.
        score: The calibrated probability of fake; None when inconclusive.
        threshold: Scores of at least this are called fake.
        decision: What the threshold was set for and on how many clips, and the abstention band.
        data: What people call the data that the run was trained on.
        frames_used: Sampled frames that show the face.
        frames_sampled: Frames that were looked at.
        reason: Why the verdict is inconclusive; "" otherwise.
        run: The run directory that judged.
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


@dataclass(frozen=True)
class WeightsOverride:
    """Where weights that were given as files lie now, if not where they lay at training time.

    Attributes:
        detector: The face detector's file, or None.
        backbone: The CNN's file, or None.
    """

    detector: str | None = None
    backbone: str | None = None


def predict(
    paths: Sequence[Path],
    run_folder: Path,
    execution: ExecutionConfig,
    override: WeightsOverride = WeightsOverride(),
) -> Iterator[Verdict]:
    """Judge clips by a run, extracting by the run's own settings.

    Args:
        paths: The clips. One that cannot be read becomes an inconclusive verdict.
        run_folder: The run directory.
        execution: How to use the machine.
        override: Weights files to use in place of the recorded ones.

    Yields:
        One verdict for each path, in the order of `paths`.

    Raises:
        RunError: The run cannot be read, or the weights here are not those it was trained with.
        WeightsError: Weights are missing.
    """
    model = run.load(run_folder)
    resolved = _resolve(model, run_folder, override)
    items = [VideoItem(path, str(number)) for number, path in enumerate(paths)]
    ready: dict[int, Verdict] = {}
    expected = 0
    for item, records in extract_records(items, resolved, execution):
        number = int(item.video_id)
        ready[number] = judge(records, paths[number], model, run_folder)
        while expected in ready:
            yield ready.pop(expected)
            expected += 1


def judge(
    records: Sequence[FeatureRecord], path: Path, model: SequenceModel, run_folder: Path
) -> Verdict:
    """The verdict on one clip: never a score where its records do not carry one.

    Args:
        records: One for each person in the clip; who looks most like a fake speaks for it.
        path: The clip.
        model: The run's model.
        run_folder: The run.
    """
    scored = [(*_score(record, model), record) for record in records]
    score, reason, record = max(scored, key=lambda one: -1.0 if one[0] is None else one[0])
    decision = model.decision
    if score is not None and decision.is_doubtful(score):
        low, high = decision.band
        reason = f"its score lies in the run's abstention band, from {low:.3f} to below {high:.3f}"
        score = None
    verdict = INCONCLUSIVE
    if score is not None:
        verdict = FAKE if score >= decision.threshold else REAL
    return Verdict(
        path=str(path),
        verdict=verdict,
        score=score,
        threshold=decision.threshold,
        decision=decision,
        data=model.data,
        frames_used=record.frames_valid,
        frames_sampled=int(record.facts.get("frames_sampled", 0)),
        reason=reason,
        run=str(run_folder),
    )


def _score(record: FeatureRecord, model: SequenceModel) -> tuple[float | None, str]:
    """The score of a record, or None and why there is none."""
    reason = _lacks(record)
    if reason:
        return None, reason
    return float(model.scores_of((record.features[None], record.mask[None]))[0]), ""


def _lacks(record: FeatureRecord) -> str:
    """Why a record is not enough for a verdict; "" where it is."""
    if record.failed or record.status == "partial":
        return f"{record.status}: {record.reason}"
    if record.frames_valid < MIN_VALID_FRAMES:
        return (
            f"only {record.frames_valid} sampled frames show the face; "
            f"{MIN_VALID_FRAMES} are needed"
        )
    return ""


def _resolve(model: SequenceModel, run_folder: Path, override: WeightsOverride) -> ResolvedConfig:
    if "faces" not in model.fingerprint.fields:
        raise RunError(
            f"{run_folder} was not trained on a feature store, so no clip can be prepared for it"
        )
    faces, backbone = model.extract_config.faces, model.extract_config.backbone
    if faces.detector_weights is not None:
        path = override.detector or _given(model, run_folder, "faces", "--detector-weights")
        faces = replace(faces, detector_weights=path)
    if backbone.uses_file:
        path = override.backbone or _given(model, run_folder, "backbone", "--weights")
        backbone = replace(backbone, weights=path)
    resolved = resolve(replace(model.extract_config, faces=faces, backbone=backbone))
    differences = model.fingerprint.differences(resolved.fingerprint)
    if differences:
        raise RunError(
            f"{run_folder} was trained on features made otherwise than they would be made here: "
            f"{'; '.join(differences)}"
        )
    return resolved


def _given(model: SequenceModel, run_folder: Path, section: str, option: str) -> str:
    """Where the weights file lies that the features were made with, if it was used here before."""
    config = model.extract_config
    name = config.faces.detector_weights if section == "faces" else config.backbone.weights
    try:
        digest = str(model.fingerprint.fields[section]["weights_sha256"])
    except (KeyError, TypeError) as error:
        raise RunError(f"{run_folder} is damaged: its fingerprint lacks {section}") from error
    own = finetuned_weights.in_run(run_folder, digest) if option == "--weights" else None
    path = own or weights.find_given(digest)
    if path is None:
        raise RunError(
            f"{run_folder} was trained with the weights file {name} (SHA-256 {digest[:12]}…), "
            f"which has not been used here before, or is gone. Say where it is with {option}."
        )
    return str(path)
