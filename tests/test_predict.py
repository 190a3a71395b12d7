"""Finding the weights files of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from mean_model import mean_model

from deepfake_seq import predict, weights
from deepfake_seq.config import ExtractConfig, FaceConfig, PredictConfig
from deepfake_seq.errors import RunError, UsageError
from deepfake_seq.predict import WeightsOverride
from deepfake_seq.store import Fingerprint


def test_a_weights_file_used_before_is_found_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPSEQ_HOME", str(tmp_path / "home"))
    path = tmp_path / "detector.onnx"
    path.write_bytes(b"weights")
    digest = weights.digest_of(path)
    trained = mean_model(
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
    trained = mean_model(
        extract_config=ExtractConfig(faces=FaceConfig("yunet", str(secret))),
        fingerprint=Fingerprint({"faces": {"weights_sha256": weights.digest_of(secret)}}),
    )
    with pytest.raises(RunError, match="is not in any known location"):
        predict._resolve(trained, Path("runs/x"), WeightsOverride(), PredictConfig())


def test_windows_are_equally_long_and_cover_the_clip() -> None:
    assert PredictConfig(window_seconds=4).spans(9) == [(0, 3), (3, 6), (6, 9)]
    assert PredictConfig(window_seconds=5).spans(10) == [(0, 5), (5, 10)]
    assert PredictConfig(window_seconds=60).spans(10) == [(0, 10)]
    config = PredictConfig(window_seconds=2, start_seconds=3, end_seconds=7)
    assert config.spans(10) == [(3, 5), (5, 7)]
    assert PredictConfig(start_seconds=3).spans(10) == [(3, 10)]


def test_the_start_must_be_before_the_end() -> None:
    with pytest.raises(UsageError, match="--start must be before --end"):
        PredictConfig(start_seconds=3, end_seconds=2)
