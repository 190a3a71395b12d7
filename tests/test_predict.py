"""Verdicts on records, without any video."""

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
        return np.array([own[valid].mean() for own, valid in zip(features, mask, strict=True)])


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


def test_scores_beyond_the_band_decide_and_those_in_it_do_not() -> None:
    assert verdict(about(0.5)).verdict == "fake"
    assert verdict(about(-0.5)).verdict == "real"
    doubtful = verdict(about(0.0))
    assert (doubtful.verdict, doubtful.score) == ("inconclusive", None)
    assert "abstention band, from 0.400 to below 0.600" in doubtful.reason


def test_without_a_band_every_score_decides() -> None:
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
def test_what_does_not_show_enough_gets_no_score(record: FeatureRecord, reason: str) -> None:
    found = verdict(record)
    assert (found.verdict, found.score, found.reason) == ("inconclusive", None, reason)


def test_of_several_people_the_likeliest_fake_speaks_for_the_clip() -> None:
    real, doubtful, fake = about(-0.5), about(0.0), about(0.5)
    unseen = make_record(valid=3)
    assert verdict(real, fake, unseen).verdict == "fake"
    assert verdict(real, unseen).verdict == "real"
    assert verdict(real, doubtful).verdict == "inconclusive", "one of them may be a fake"


def test_a_verdict_names_what_it_rests_on() -> None:
    found = verdict(about(0.5))
    assert found.decision.clips == CLIPS and found.data == "celeb-df-v2"
    assert found.decision.basis == (
        "set for a false-positive rate of 5.0% on 40 real and 30 fake validation clips"
    )


def test_a_weights_file_is_found_by_its_content_where_it_was_used_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPSEQ_HOME", str(tmp_path / "home"))
    path = tmp_path / "detector.onnx"
    path.write_bytes(b"weights")
    digest = weights.digest_of(path)
    own = model(
        extract_config=ExtractConfig(faces=FaceConfig("yunet", "detector.onnx")),
        fingerprint=Fingerprint({"faces": {"weights_sha256": digest}}),
    )
    asked = (own, Path("runs/x"), "faces", "--detector-weights")
    with pytest.raises(RunError, match=r"detector\.onnx \(SHA-256 .*Say where it is with --det"):
        predict._given(*asked)
    weights.remember_given(path, digest)
    assert predict._given(*asked) == str(path)
    path.unlink()
    with pytest.raises(RunError, match="or is gone"):
        predict._given(*asked)


def test_a_path_in_a_run_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSEQ_HOME", str(tmp_path / "home"))
    secret = tmp_path / "secret.onnx"
    secret.write_bytes(b"weights")
    own = model(
        extract_config=ExtractConfig(faces=FaceConfig("yunet", str(secret))),
        fingerprint=Fingerprint({"faces": {"weights_sha256": weights.digest_of(secret)}}),
    )
    with pytest.raises(RunError, match="is not in any known location"):
        predict._resolve(own, Path("runs/x"), WeightsOverride())
