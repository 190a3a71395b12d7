"""Both stages on single clips: the verdict. The one place that knows extract and sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deepfake_seq.config import MIN_VALID_FRAMES, ExecutionConfig, ExtractConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.errors import RunError
from deepfake_seq.extract.pipeline import extract_records
from deepfake_seq.extract.resolve import ResolvedConfig, resolve
from deepfake_seq.sequence import run
from deepfake_seq.sequence.run import SequenceModel
from deepfake_seq.store import FeatureRecord

REAL, FAKE, INCONCLUSIVE = "real", "fake", "inconclusive"


@dataclass(frozen=True)
class Verdict:
    """What is said of one clip.

    Attributes:
        path: The clip.
        verdict: `real`, `fake` or `inconclusive`.
        score: The calibrated probability of fake; None when inconclusive.
        threshold: Scores of at least this are called fake.
        frames_used: Sampled frames that show the face.
        frames_sampled: Frames that were looked at.
        reason: Why the verdict is inconclusive; "" otherwise.
        run: The run directory that judged.
    """

    path: str
    verdict: str
    score: float | None
    threshold: float
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
        verdicts = [judge(record, paths[number], model, run_folder) for record in records]
        ready[number] = max(verdicts, key=_weight)
        while expected in ready:
            yield ready.pop(expected)
            expected += 1


def judge(record: FeatureRecord, path: Path, model: SequenceModel, run_folder: Path) -> Verdict:
    """The verdict on one record: never a score where the record does not carry one."""
    reason = _doubt(record)
    score = None
    verdict = INCONCLUSIVE
    if not reason:
        score = float(model.scores(record.features[None], record.mask[None])[0])
        verdict = FAKE if score >= model.threshold else REAL
    return Verdict(
        path=str(path),
        verdict=verdict,
        score=score,
        threshold=model.threshold,
        frames_used=record.frames_valid,
        frames_sampled=int(record.facts.get("frames_sampled", 0)),
        reason=reason,
        run=str(run_folder),
    )


def _weight(verdict: Verdict) -> float:
    """Of several people in a clip, the one who looks most like a fake speaks for it."""
    return -1.0 if verdict.score is None else verdict.score


def _doubt(record: FeatureRecord) -> str:
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
    config = model.extract_config
    if override.detector:
        faces = replace(config.faces, detector_weights=override.detector)
        config = replace(config, faces=faces)
    if override.backbone:
        config = replace(config, backbone=replace(config.backbone, weights=override.backbone))
    _require_given_files(config, run_folder)
    resolved = resolve(config)
    differences = model.fingerprint.differences(resolved.fingerprint)
    if differences:
        raise RunError(
            f"{run_folder} was trained on features made otherwise than they would be made here: "
            f"{'; '.join(differences)}"
        )
    return resolved


def _require_given_files(config: ExtractConfig, run_folder: Path) -> None:
    given = {
        "--detector-weights": config.faces.detector_weights,
        "--weights": config.backbone.weights if config.backbone.uses_file else None,
    }
    for option, path in given.items():
        if path is not None and not Path(path).is_file():
            raise RunError(
                f"{run_folder} was trained with the weights file {path}, which is not there. "
                f"Say where it is now with {option}."
            )
