from __future__ import annotations

import pytest

from deepfake_seq import doctor


def findings() -> dict[str, doctor.Finding]:
    return {finding.name: finding for finding in doctor.examine()}


def test_all_checks_pass_on_this_machine() -> None:
    results = findings()
    assert all(finding.ok for finding in results.values()), results
    assert "provided by opencv-contrib-python-headless only" in results["cv2"].detail
    assert "CPU" in results["openvino devices"].detail


def test_missing_weights_are_ok_and_listed_with_the_searched_paths() -> None:
    weights = findings()["weights retinaface"]
    assert weights.ok
    assert "searched" in weights.detail and "retinaface.onnx" in weights.detail


def test_two_packages_that_provide_cv2_are_not_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    owners = {"cv2": ["opencv-python", "opencv-contrib-python-headless"]}
    monkeypatch.setattr(doctor, "packages_distributions", lambda: owners)
    cv2 = findings()["cv2"]
    assert not cv2.ok
    assert "opencv-contrib-python-headless and opencv-python" in cv2.detail
    assert "pip uninstall" in cv2.detail


def test_a_backend_that_is_not_installed_is_not_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "nonesuch")
    assert not findings()["keras backend"].ok
