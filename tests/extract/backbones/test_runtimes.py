"""The contract of all CNN runtimes, and their agreement."""

from __future__ import annotations

import hashlib
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tiny_cnn
from children import run_python

from deepfake_seq.config import RUNTIMES, BackboneConfig
from deepfake_seq.errors import EngineError, WeightsError
from deepfake_seq.extract.backbones.keras import BATCH
from deepfake_seq.extract.backbones.runtime import CnnRuntime, build_runtime
from deepfake_seq.extract.backbones.table import BACKBONE_TABLE

UNTRAINED_INCEPTION = BackboneConfig(weights="untrained")

Crops = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]


def crops_of(image_rgb: Crops, count: int, size: int) -> Crops:
    """Return different square crops of an image: (count, size, size, 3)."""
    views = [image_rgb[8 * k : 8 * k + 300, 8 * k : 8 * k + 300] for k in range(count)]
    return np.stack([cv2.resize(view, (size, size)) for view in views])


@pytest.fixture(
    scope="module", params=["tiny", pytest.param("real", marks=pytest.mark.slow)], autouse=True
)
def networks(request: pytest.FixtureRequest, tiny_home: Path, home: Path) -> Iterator[Path]:
    """The folder of translated networks, with InceptionV3 or a CNN of two layers in its place."""
    if request.param == "real":
        yield home / "deepseq" / "openvino"
    else:
        with tiny_cnn.in_place(tiny_home):
            yield tiny_home / "openvino"


@pytest.fixture(scope="module")
def runtime_of(networks: Path) -> Callable[[str], CnnRuntime]:
    """The untrained InceptionV3 on each runtime, built once."""
    return cache(lambda name: build_runtime(name, UNTRAINED_INCEPTION, None))


@pytest.fixture(params=RUNTIMES)
def name(request: pytest.FixtureRequest) -> str:
    """The name of a runtime."""
    return str(request.param)


@pytest.fixture
def runtime(name: str, runtime_of: Callable[[str], CnnRuntime]) -> CnnRuntime:
    return runtime_of(name)


@pytest.fixture(scope="module")
def crops(portrait_rgb: Crops, networks: Path) -> Crops:
    return crops_of(portrait_rgb, BATCH + 1, BACKBONE_TABLE["inception_v3"].crop_size)


@pytest.fixture(scope="module")
def together_of(runtime_of: Callable[[str], CnnRuntime], crops: Crops) -> Callable[[str], Features]:
    """The features of all crops, computed in one call, on each runtime."""
    return cache(lambda name: runtime_of(name).features(crops))


@pytest.fixture
def together(name: str, together_of: Callable[[str], Features]) -> Features:
    return together_of(name)


def test_no_crops_give_no_rows(runtime: CnnRuntime, crops: Crops) -> None:
    assert runtime.features(crops[:0]).shape == (0, 2048)


def test_every_crop_gives_its_own_row_of_features(
    together: Features,
) -> None:
    assert together.shape == (BATCH + 1, 2048)
    assert together.dtype == np.float32
    assert np.isfinite(together).all()
    assert np.abs(np.diff(together, axis=0)).max(axis=1).min() > 1e-3


def test_features_do_not_depend_on_the_other_crops_of_the_batch(
    runtime: CnnRuntime, crops: Crops, together: Features
) -> None:
    first = runtime.features(crops[:1])
    reverse = slice(None, -BATCH - 1, -1)
    np.testing.assert_array_equal(runtime.features(crops[reverse]), together[reverse])
    # Compared last: the result must not change when the network runs again.
    np.testing.assert_array_equal(first, together[:1])


def assert_they_agree(one: Features, other: Features) -> None:
    assert np.abs(one - other).max() / np.abs(other).max() < 1e-4


def test_all_runtimes_give_the_same_numbers(together_of: Callable[[str], Features]) -> None:
    assert_they_agree(together_of("openvino"), together_of("keras"))


def test_mismatched_weights_are_a_weights_error_naming_the_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.h5"
    path.write_text("not HDF5")
    with pytest.raises(WeightsError, match=r"wrong\.h5") as caught:
        build_runtime(name, BackboneConfig(weights=str(path)), path)
    assert len(str(caught.value).splitlines()) == 1


def test_openvino_imports_neither_tensorflow_nor_keras(
    runtime_of: Callable[[str], CnnRuntime], crops: Crops
) -> None:
    runtime_of("openvino")  # translated here, so that the child process finds it
    code = (
        "import sys, numpy as np\n"
        "from deepfake_seq.config import BackboneConfig\n"
        "from deepfake_seq.extract.backbones.runtime import build_runtime\n"
        "cnn = build_runtime('openvino', BackboneConfig(weights='untrained'), None)\n"
        f"assert cnn.features(np.zeros({crops[:1].shape}, np.uint8)).shape == (1, 2048)\n"
        "print(*sys.modules)\n"
    )
    assert not {"tensorflow", "keras", "torch", "jax"} & set(run_python(code).split())


def compiled_files(networks: Path) -> list[Path]:
    return sorted(networks.glob("inception_v3-untrained*-float32-*.blob"))


def test_a_network_is_translated_and_compiled_once(
    runtime_of: Callable[[str], CnnRuntime], monkeypatch: pytest.MonkeyPatch, networks: Path
) -> None:
    runtime_of("openvino")
    files = networks.glob("inception_v3-untrained*")
    assert sorted(file.suffix for file in files) == [".blob", ".ir"]
    monkeypatch.setattr(subprocess, "run", None)
    monkeypatch.setattr("deepfake_seq.extract.backbones.openvino_cpu.compile_for_throughput", None)
    build_runtime("openvino", UNTRAINED_INCEPTION, None)


@pytest.mark.parametrize("damage", ["cut", "bit", "foreign", "empty"])
def test_a_damaged_compiled_network_is_compiled_again(
    runtime_of: Callable[[str], CnnRuntime],
    crops: Crops,
    together_of: Callable[[str], Features],
    networks: Path,
    damage: str,
) -> None:
    runtime_of("openvino")
    (file,) = compiled_files(networks)
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    foreign = b"made by another version of OpenVINO"
    contents = {
        "cut": whole[: len(whole) // 2],
        "bit": bytes(flipped),
        "foreign": hashlib.sha256(foreign).digest() + foreign,
        "empty": b"",
    }
    file.write_bytes(contents[damage])
    features = build_runtime("openvino", UNTRAINED_INCEPTION, None).features(crops[:2])
    np.testing.assert_array_equal(features, together_of("openvino")[:2])
    assert len(file.read_bytes()) == pytest.approx(len(whole), rel=0.01)


def test_without_a_writable_home_a_network_is_used_but_not_kept(
    together_of: Callable[[str], Features],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    crops: Crops,
    networks: Path,
    tmp_path: Path,
) -> None:
    expected = together_of("openvino")[:1]
    (tmp_path / "file").touch()
    monkeypatch.setenv("DEEPSEQ_HOME", str(tmp_path / "file"))
    features = build_runtime("openvino", UNTRAINED_INCEPTION, None).features(crops[:1])
    np.testing.assert_array_equal(features, expected)
    (message,) = caplog.messages
    kept = [*networks.glob("inception_v3-untrained*.ir"), *compiled_files(networks)]
    needed = sum(file.stat().st_size - 32 for file in kept)
    assert f"({needed:,} bytes) cannot be saved in {tmp_path}" in message
    assert "DEEPSEQ_HOME" in message


def test_a_full_disk_for_temporary_files_is_an_expected_error(
    monkeypatch: pytest.MonkeyPatch, empty_home: Path, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, before[1]))
    try:
        with pytest.raises(EngineError, match=rf"in {scratch}: .* TMPDIR"):
            build_runtime("openvino", UNTRAINED_INCEPTION, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(scratch.iterdir()) == []


def test_bfloat16_features_are_close_to_float32_features(
    together_of: Callable[[str], Features], crops: Crops
) -> None:
    try:
        runtime = build_runtime(
            "openvino", replace(UNTRAINED_INCEPTION, precision="bfloat16"), None
        )
    except EngineError as error:
        pytest.skip(str(error))
    exact, rounded = together_of("openvino"), runtime.features(crops)
    assert np.abs(exact - rounded).max() > 0
    lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(rounded, axis=1)
    assert ((exact * rounded).sum(axis=1) / lengths).min() > 0.999
