"""Classify single clips: extract their features, then score them with a run."""

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
    """The verdict on one clip, and its basis.

    Attributes:
        path: Path of the clip.
        verdict: `real`, `fake` or `inconclusive`.
        score: Calibrated probability of fake, 0 to 1; None if inconclusive.
        threshold: Scores of at least this are called fake.
        decision: Threshold and abstention band of the run, and the clips they were chosen on.
        data: Name of the data that the run was trained on.
        frames_used: Number of sampled frames that show the face.
        frames_sampled: Number of sampled frames.
        reason: Why the verdict is inconclusive; "" otherwise.
        run: Path of the run directory.
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
    """Present paths of weights files that have been moved since the run was trained.

    Attributes:
        detector: Path of the face detector's weights file, or None to search for it.
        backbone: Path of the CNN's weights file, or None to search for it.
    """

    detector: str | None = None
    backbone: str | None = None


def predict(
    paths: Sequence[Path],
    run_folder: Path,
    execution: ExecutionConfig,
    override: WeightsOverride = WeightsOverride(),
) -> Iterator[Verdict]:
    """Classify clips with a run, using the extraction settings of the run.

    Args:
        paths: Paths of the clips. A clip that cannot be read gets an inconclusive verdict.
        run_folder: Path of the run directory.
        execution: Workers, batch size and other settings that do not change the features.
        override: Paths of weights files that have been moved.

    Yields:
        One verdict for each path, in the order of `paths`.

    Raises:
        RunError: The run cannot be read, or other weights or versions would change its features.
        WeightsError: A weights file is missing.
    """
    model = run.load(run_folder)
    resolved = _resolve(model, run_folder, override)
    items = [VideoItem(path, str(number)) for number, path in enumerate(paths)]
    ready: dict[int, Verdict] = {}
    expected = 0
    for item, records in extract_records(items, resolved, execution):
        number = int(item.video_id)
        ready[number] = classify(records, paths[number], model, run_folder)
        while expected in ready:
            yield ready.pop(expected)
            expected += 1


def classify(
    records: Sequence[FeatureRecord], path: Path, model: SequenceModel, run_folder: Path
) -> Verdict:
    """Return the verdict on one clip; inconclusive if its records do not support one.

    Args:
        records: A record for each person in the clip; the highest score decides.
        path: Path of the clip.
        model: Model of the run.
        run_folder: Path of the run directory.
    """
    scored = [(*_score(record, model), record) for record in records]
    score, reason, record = max(scored, key=lambda entry: -1.0 if entry[0] is None else entry[0])
    decision = model.decision
    if score is not None and decision.is_doubtful(score):
        low, high = decision.band
        reason = f"its score is in the run's abstention band, from {low:.3f} to below {high:.3f}"
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
    """Return the score of a record and "", or None and the reason why there is no score."""
    reason = _shortcoming(record)
    if reason:
        return None, reason
    return float(model.scores_of(model.arrays_of(record))[0]), ""


def _shortcoming(record: FeatureRecord) -> str:
    """Return the reason why a record does not support a verdict, or "" if it does."""
    if record.failed or record.status == "partial":
        return f"{record.status}: {record.reason}"
    if record.frames_valid < MIN_VALID_FRAMES:
        return (
            f"only {record.frames_valid} sampled frames show the face; "
            f"at least {MIN_VALID_FRAMES} are needed"
        )
    return ""


def _resolve(model: SequenceModel, run_folder: Path, override: WeightsOverride) -> ResolvedConfig:
    if "faces" not in model.fingerprint.fields:
        raise RunError(
            f"{run_folder} was not trained on a feature store, so its extraction settings are "
            "unknown. Train a run with `deepseq fit`."
        )
    faces, backbone = model.extract_config.faces, model.extract_config.backbone
    if faces.detector_weights is not None:
        path = override.detector or _weights_file(model, run_folder, "faces", "--detector-weights")
        faces = replace(faces, detector_weights=path)
    if backbone.uses_file:
        path = override.backbone or _weights_file(model, run_folder, "backbone", "--weights")
        backbone = replace(backbone, weights=path)
    resolved = resolve(replace(model.extract_config, faces=faces, backbone=backbone))
    differences = model.fingerprint.differences(resolved.fingerprint)
    if differences:
        raise RunError(
            f"{run_folder} was trained on features that cannot be reproduced here; these differ: "
            f"{'; '.join(differences)}"
        )
    return resolved


def _weights_file(model: SequenceModel, run_folder: Path, section: str, option: str) -> str:
    """Return the path of the weights file behind the features, if its location is known."""
    config = model.extract_config
    name = config.faces.detector_weights if section == "faces" else config.backbone.weights
    try:
        digest = str(model.fingerprint.fields[section]["weights_sha256"])
    except (KeyError, TypeError) as error:
        raise RunError(f"{run_folder} is damaged: its fingerprint lacks {section}") from error
    in_run = finetuned_weights.in_run(run_folder, digest) if option == "--weights" else None
    path = in_run or weights.find_given(digest)
    if path is None:
        raise RunError(
            f"{run_folder} was trained with the weights file {name} (SHA-256 {digest[:12]}…), "
            f"which is not in any known location. Give its path with {option}."
        )
    return str(path)
