from __future__ import annotations

import hashlib
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from deepfake_seq import doctor, weights


def findings() -> dict[str, doctor.Finding]:
    return {finding.name: finding for finding in doctor.examine()}


def put_weights(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create a small file that takes the place of the published one."""
    content = {"hdf5": b"\x89HDF\r\n\x1a\n", "onnx": b"\x08"}[weights.lookup(name).container]
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    monkeypatch.setitem(weights.WEIGHTS, name, replace(weights.lookup(name), digest=digest))
    path = weights.places(name)[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def give_free_bytes(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")(free, 0, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


def test_all_checks_pass_once_the_default_weights_are_there(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("retinaface", "inception_v3"):
        put_weights(name, monkeypatch)
    results = findings()
    assert all(finding.ok for finding in results.values()), results
    assert "provided by opencv-contrib-python-headless only" in results["cv2"].detail
    assert "CPU" in results["openvino devices"].detail
    assert f"{empty_home / 'deepseq'}: writable" in results["DEEPSEQ_HOME"].detail


@pytest.mark.parametrize("name", ["retinaface", "inception_v3"])
def test_missing_weights_that_are_used_by_default_are_not_ok(name: str, empty_home: Path) -> None:
    finding = findings()[f"weights {name}"]
    assert not finding.ok
    assert f"deepseq weights fetch {name}" in finding.detail
    assert f"searched {empty_home}" in finding.detail


def test_other_missing_weights_are_ok_and_listed_with_the_searched_paths() -> None:
    finding = findings()["weights yunet"]
    assert finding.ok
    assert "searched" in finding.detail and "face_detection_yunet" in finding.detail


def test_a_home_that_cannot_be_created_is_not_ok(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DEEPSEQ_HOME", str(tmp_path / "file" / "home"))
    finding = findings()["DEEPSEQ_HOME"]
    assert not finding.ok and f"{tmp_path / 'file' / 'home'} is not writable" in finding.detail


def test_a_home_without_room_is_not_ok_unless_everything_is_there(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_free_bytes(20_000_000, monkeypatch)
    finding = findings()["DEEPSEQ_HOME"]
    assert not finding.ok
    assert "20 MB free, but weights and compiled networks need 400 MB" in finding.detail
    for name in ("retinaface", "inception_v3"):
        put_weights(name, monkeypatch)
    (empty_home / "deepseq" / "openvino").mkdir()
    (empty_home / "deepseq" / "openvino" / "cnn.blob").touch()
    assert findings()["DEEPSEQ_HOME"].ok


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
