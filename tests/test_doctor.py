from __future__ import annotations

import pytest

from deepfake_seq import doctor


def findings() -> dict[str, doctor.Finding]:
    return {finding.name: finding for finding in doctor.examine()}


def test_a_sound_machine_is_found_sound() -> None:
    found = findings()
    assert all(finding.ok for finding in found.values()), found
    assert "owned by opencv-contrib-python-headless alone" in found["cv2"].detail
    assert "CPU" in found["openvino devices"].detail


def test_missing_weights_are_no_fault_but_are_said_with_the_places() -> None:
    weights = findings()["weights retinaface"]
    assert weights.ok
    assert "looked for" in weights.detail and "retinaface.onnx" in weights.detail


def test_two_owners_of_cv2_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    owners = {"cv2": ["opencv-python", "opencv-contrib-python-headless"]}
    monkeypatch.setattr(doctor, "packages_distributions", lambda: owners)
    cv2 = findings()["cv2"]
    assert not cv2.ok
    assert "opencv-contrib-python-headless and opencv-python" in cv2.detail
    assert "pip uninstall" in cv2.detail


def test_a_backend_that_is_not_installed_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "nonesuch")
    assert not findings()["keras backend"].ok
