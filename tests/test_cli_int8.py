"""`--precision int8` from `extract` to `predict`, with and without NNCF."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import int8_ranges
import msgspec
import pytest
from calling import deepseq
from clips import write_noise
from detector_networks import write_retinaface_mobile_like

from deepfake_seq.extract.backbones.ranges import encode_ranges
from deepfake_seq.store import FeatureStore

pytestmark = pytest.mark.usefixtures("tiny_cnn")

EXTRACT = ["--detector", "none", "--weights", "untrained", "--frames", 8, "--workers", 1]


@pytest.fixture(autouse=True)
def without_nncf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make NNCF look as if it were not installed."""
    monkeypatch.setitem(sys.modules, "nncf", None)


@pytest.fixture
def unknown_ranges(tiny_home: Path, tiny_cnn: None) -> None:
    """Remove the ranges from the home."""
    shutil.rmtree(tiny_home / "int8", ignore_errors=True)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_noise(tmp_path_factory.mktemp("videos"), clips=8)


@pytest.fixture(scope="module")
def extracted(
    videos: Path, tmp_path_factory: pytest.TempPathFactory, tiny_home: Path, tiny_cnn: None
) -> Path:
    """A store of int8 features with its face cache."""
    int8_ranges.write(tiny_home)
    store = tmp_path_factory.mktemp("int8") / "features"
    options = ["--keep-faces", "--precision", "int8"]
    result = deepseq("extract", videos, "--out", store, *options, *EXTRACT)
    assert result.exit_code == 0, result.stderr
    return store


@pytest.fixture(scope="module")
def trained(extracted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained on the store."""
    run = tmp_path_factory.mktemp("runs") / "run"
    options = ["--model", "logistic", "--members", 1]
    result = deepseq("fit", "--features", extracted, "--out", run, *options)
    assert result.exit_code == 0, result.stderr
    return run


def test_a_store_and_a_run_contain_the_ranges(extracted: Path, trained: Path) -> None:
    for folder in (extracted, trained):
        assert (folder / "int8.json").read_bytes() == encode_ranges([int8_ranges.TINY])
    fields = FeatureStore.open(extracted).fingerprint.fields["backbone"]
    assert fields["precision"] == "int8"
    assert fields["ranges_sha256"] == int8_ranges.TINY.sha256


def test_int8_faces_and_features_of_them_bring_the_ranges_of_the_detector(
    videos: Path, tiny_home: Path, tmp_path: Path
) -> None:
    int8_ranges.write(tiny_home)
    network = write_retinaface_mobile_like(tmp_path / "detector.onnx", is_deep=True)
    detector = int8_ranges.write_of_detector(tiny_home, network)
    options = ["--detector", "retinaface-mobile", "--detector-weights", network, "--frames", 8]
    cnn = ["--weights", "untrained", "--precision", "int8"]
    result = deepseq("extract", videos, "--out", tmp_path / "s", "--keep-faces", *options, *cnn)
    assert result.exit_code in (0, 3), result.stderr  # noise shows no face
    both = encode_ranges([detector, int8_ranges.TINY])
    assert (tmp_path / "s" / "int8.json").read_bytes() == both
    assert (tmp_path / "s" / "faces" / "int8.json").read_bytes() == encode_ranges([detector])

    again = ["extract", "--from-faces", tmp_path / "s", "--weights", "untrained"]
    assert deepseq(*again, "--out", tmp_path / "float32").exit_code in (0, 3)
    assert (tmp_path / "float32" / "int8.json").read_bytes() == encode_ranges([detector])
    fields = FeatureStore.open(tmp_path / "float32").fingerprint.fields
    assert (fields["faces"]["precision"], fields["backbone"]["precision"]) == ("int8", "float32")


def test_the_precision_of_cached_faces_cannot_be_changed(extracted: Path, tmp_path: Path) -> None:
    options = ["--from-faces", extracted, "--out", tmp_path / "s", "--weights", "untrained"]
    result = deepseq("extract", *options, "--detector-precision", "float32")
    assert result.exit_code == 2
    assert "leave out --detector-precision" in result.stderr


def test_a_merged_store_contains_the_ranges(extracted: Path, tmp_path: Path) -> None:
    assert deepseq("merge", extracted, "--out", tmp_path / "merged").exit_code == 0
    assert (tmp_path / "merged" / "int8.json").read_bytes() == encode_ranges([int8_ranges.TINY])


@pytest.mark.usefixtures("unknown_ranges")
def test_a_run_predicts_where_neither_nncf_nor_the_ranges_are_known(
    videos: Path, trained: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(trained, tmp_path / "moved")
    result = deepseq("predict", videos / "real" / "0.mp4", "--run", moved, "--json")
    (verdict,) = json.loads(result.stdout)
    assert verdict["frames_used"] == 8, result.stderr


@pytest.mark.usefixtures("unknown_ranges")
def test_a_store_is_continued_where_neither_nncf_nor_the_ranges_are_known(
    videos: Path, extracted: Path
) -> None:
    options = ["--out", extracted, "--precision", "int8", *EXTRACT]
    result = deepseq("extract", videos, *options, "--json")
    assert json.loads(result.stdout)["skipped"] == 8, result.stderr
    from_faces = ["--from-faces", extracted, "--out", extracted, "--weights", "untrained"]
    again = deepseq("extract", *from_faces, "--precision", "int8", "--json")
    assert json.loads(again.stdout)["skipped"] == 8, again.stderr


@pytest.mark.usefixtures("unknown_ranges")
def test_without_nncf_and_ranges_one_message_names_the_extra(videos: Path, tmp_path: Path) -> None:
    options = ["--out", tmp_path / "s", "--precision", "int8", *EXTRACT]
    result = deepseq("extract", videos, *options)
    assert result.exit_code == 1
    message = result.stderr.strip().splitlines()[-1]
    assert "`pip install 'deepfake-seq[int8]'`" in message
    assert "int8.json" in message
    assert not (tmp_path / "s").exists()


def test_features_of_other_ranges_do_not_mix(
    videos: Path, extracted: Path, trained: Path, tmp_path: Path
) -> None:
    kernels = int8_ranges.TINY.kernels[:-1]
    other = encode_ranges([msgspec.structs.replace(int8_ranges.TINY, kernels=kernels)])
    moved = shutil.copytree(trained, tmp_path / "moved")
    (moved / "int8.json").write_bytes(other)
    result = deepseq("predict", videos / "real" / "0.mp4", "--run", moved)
    assert result.exit_code == 1
    assert "backbone.ranges_sha256" in result.stderr


def test_another_precision_cannot_be_added_to_a_store(videos: Path, extracted: Path) -> None:
    result = deepseq("extract", videos, "--out", extracted, *EXTRACT)
    assert result.exit_code == 1
    assert "backbone.precision is int8 there, float32 here" in result.stderr


def test_damaged_ranges_of_a_run_are_an_expected_error(
    videos: Path, trained: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(trained, tmp_path / "moved")
    (moved / "int8.json").write_text('{"format": "deepseq-int8"}')
    result = deepseq("predict", videos / "real" / "0.mp4", "--run", moved)
    assert result.exit_code == 1
    assert "is no file of int8 ranges" in result.stderr.strip().splitlines()[-1]


def test_keras_refuses_int8_before_any_work(videos: Path, tmp_path: Path) -> None:
    options = ["--out", tmp_path / "s", "--precision", "int8", "--runtime", "keras", *EXTRACT]
    result = deepseq("extract", videos, *options)
    assert result.exit_code == 2
    assert "needs --runtime openvino. Received: --runtime keras" in result.stderr
