"""Verdicts on records, without videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import FINGERPRINT, make_record

from deepfake_seq import predict, weights
from deepfake_seq.config import ExtractConfig, FaceConfig, ModelConfig
from deepfake_seq.errors import RunError
from deepfake_seq.predict import WeightsOverride, classify
from deepfake_seq.sequence.evaluation.calibration import PlattScaling
from deepfake_seq.sequence.evaluation.threshold import Decision
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.store import FeatureRecord, Fingerprint

CLIPS = {"real": 40, "fake": 30}


class Mean:
    """A network whose logit is the mean of the valid features."""

    def logits(self, arrays: Any) -> np.ndarray:
        features, mask = arrays
        return np.array([rows[valid].mean() for rows, valid in zip(features, mask, strict=True)])


def model(band: tuple[float, float] = (0.4, 0.6), **changes: Any) -> SequenceModel:
    values = {
        "config": ModelConfig(),
        "members": (Mean(),),
        "shape": (16, 8),
        "calibration": PlattScaling(10.0, 0.0),
        "decision": Decision(0.5, band, "fpr", 0.05, 0.025, CLIPS, True, {}),
        "data": "celeb-df-v2",
        "extract_config": ExtractConfig(),
        "fingerprint": FINGERPRINT,
        **changes,
    }
    return SequenceModel(**values)


def verdict(*records: FeatureRecord, **changes: Any) -> predict.Verdict:
    return classify(records, Path("clip.mp4"), model(**changes), Path("runs/x"))


def about(shift: float, **changes: Any) -> FeatureRecord:
    record = make_record(**changes)
    record.features[record.mask] = shift
    return record


def test_scores_in_the_abstention_band_are_inconclusive() -> None:
    assert verdict(about(0.5)).verdict == "fake"
    assert verdict(about(-0.5)).verdict == "real"
    doubtful = verdict(about(0.0))
    assert (doubtful.verdict, doubtful.score) == ("inconclusive", None)
    assert "abstention band, from 0.400 to below 0.600" in doubtful.reason


def test_without_an_abstention_band_every_score_gives_a_verdict() -> None:
    assert verdict(about(0.0), band=(0.5, 0.5)).verdict == "fake"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (about(5.0, valid=7), "only 7 sampled frames show the face; at least 8 are needed"),
        (about(5.0, status="partial", reason="it ended early"), "partial: it ended early"),
        (make_record(valid=0), "no_face: no face in the 16 sampled frames"),
    ],
    ids=["few frames", "partial", "no face"],
)
def test_a_record_with_too_few_frames_gets_no_score(record: FeatureRecord, reason: str) -> None:
    result = verdict(record)
    assert (result.verdict, result.score, result.reason) == ("inconclusive", None, reason)


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


def test_a_weights_file_used_before_is_found_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPSEQ_HOME", str(tmp_path / "home"))
    path = tmp_path / "detector.onnx"
    path.write_bytes(b"weights")
    digest = weights.digest_of(path)
    trained = model(
        extract_config=ExtractConfig(faces=FaceConfig("yunet", "detector.onnx")),
        fingerprint=Fingerprint({"faces": {"weights_sha256": digest}}),
    )
    arguments = (trained, Path("runs/x"), "faces", "--detector-weights")
    with pytest.raises(RunError, match=r"detector\.onnx \(SHA-256 .*Give its path with --det"):
        predict._weights_file(*arguments)
    weights.remember_given(path, digest)
    assert predict._weights_file(*arguments) == str(path)
    path.unlink()
    with pytest.raises(RunError, match="is not in any known location"):
        predict._weights_file(*arguments)


def test_a_path_in_a_run_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSEQ_HOME", str(tmp_path / "home"))
    secret = tmp_path / "secret.onnx"
    secret.write_bytes(b"weights")
    trained = model(
        extract_config=ExtractConfig(faces=FaceConfig("yunet", str(secret))),
        fingerprint=Fingerprint({"faces": {"weights_sha256": weights.digest_of(secret)}}),
    )
    with pytest.raises(RunError, match="is not in any known location"):
        predict._resolve(trained, Path("runs/x"), WeightsOverride())
