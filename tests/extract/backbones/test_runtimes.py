"""The contract of all CNN runtimes, and their agreement."""

from __future__ import annotations

import gc
import hashlib
import resource
import subprocess
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tiny_cnn
from children import run_python

from deepfake_seq.config import INT8, PRECISIONS, RUNTIMES, BackboneConfig
from deepfake_seq.errors import EngineError, WeightsError
from deepfake_seq.extract.backbones.keras import BATCH
from deepfake_seq.extract.backbones.outputs import INPUTS_OF, OUTPUTS, width_of
from deepfake_seq.extract.backbones.runtime import BlockRuntime, CnnRuntime, build_runtime
from deepfake_seq.extract.backbones.table import BACKBONE_TABLE, build_keras_model, preprocess
from deepfake_seq.extract.calibration import ranges_for
from deepfake_seq.extract.evidence.pooling import region_means
from deepfake_seq.face_regions import FIXED_LANDMARKS, REGIONS, region_weights

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


def test_a_cnn_that_is_not_used_any_more_is_freed(name: str, crops: Crops) -> None:
    runtime = build_runtime(name, UNTRAINED_INCEPTION, None)
    runtime.features(crops[:1])
    alive = weakref.ref(runtime)
    del runtime
    gc.collect()
    assert alive() is None


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
    return sorted(networks.glob("inception_v3-untrained*-features-float32-*.blob"))


def test_a_network_is_translated_and_compiled_once(
    runtime_of: Callable[[str], CnnRuntime], monkeypatch: pytest.MonkeyPatch, networks: Path
) -> None:
    runtime_of("openvino")
    files = [*networks.glob("inception_v3-untrained*-features.ir"), *compiled_files(networks)]
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
    kept = [*networks.glob("inception_v3-untrained*-features.ir"), *compiled_files(networks)]
    needed = sum(file.stat().st_size - 32 for file in kept)
    assert f"({needed:,} bytes) cannot be saved in {tmp_path}" in message
    assert "DEEPSEQ_HOME" in message


@pytest.mark.slow
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


@pytest.fixture(scope="module")
def with_all_outputs_of(networks: Path) -> Callable[[str], BlockRuntime]:
    """The untrained InceptionV3 with all outputs on each runtime, built once."""
    return cache(lambda name: build_runtime(name, UNTRAINED_INCEPTION, None, OUTPUTS))


@pytest.fixture(scope="module")
def inputs(crops: Crops, with_all_outputs_of: Callable[[str], BlockRuntime]) -> dict[str, Any]:
    """Inputs of all kinds for four faces, each with its own regions."""
    cells = with_all_outputs_of("openvino").cells
    assert cells is not None
    side = crops.shape[1]
    faces = [FIXED_LANDMARKS * side * scale for scale in (1, 0.9, 0.8, 0.7)]
    return {
        "crops_rgb": crops[:4],
        "residuals": crops[4:8, ::-1],
        "region_weights": np.stack([region_weights(points, side, cells) for points in faces]),
    }


def by_output(rows: Features, outputs: Sequence[str] = OUTPUTS) -> dict[str, Features]:
    widths = [width_of(output, BACKBONE_TABLE["inception_v3"]) for output in outputs]
    assert rows.shape[1] == sum(widths)
    return dict(zip(outputs, np.split(rows, np.cumsum(widths)[:-1], axis=1), strict=True))


@pytest.fixture(scope="module")
def expected(inputs: dict[str, Any], networks: Path) -> dict[str, Features]:
    """The outputs, computed from Keras's maps by NumPy."""
    import keras

    row = BACKBONE_TABLE["inception_v3"]
    cnn = build_keras_model(row, None)
    layers = [cnn.get_layer(name).output for name in (row.fine_layer, row.late_layer)]
    model = keras.Model(cnn.input, [*layers, cnn.output])

    def maps(name: str) -> list[Features]:
        return [np.asarray(part) for part in model(preprocess(inputs[name], row.inputs))]

    fine, late, features = maps("crops_rgb")
    return {
        "features": features,
        "depths": late.mean(axis=(1, 2)),
        "regions": region_means(fine, inputs["region_weights"]),
        "residual": region_means(maps("residuals")[0], inputs["region_weights"]),
    }


def test_outputs_are_averages_of_the_maps_of_the_cnn(
    name: str,
    with_all_outputs_of: Callable[[str], BlockRuntime],
    inputs: dict[str, Any],
    expected: dict[str, Features],
) -> None:
    computed = by_output(with_all_outputs_of(name).rows(inputs))
    for output, values in expected.items():
        assert_they_agree(computed[output], values)


@pytest.mark.slow
@pytest.mark.parametrize(
    "precision",
    ["float32", *(pytest.param(name, marks=pytest.mark.slow) for name in PRECISIONS[1:])],
)
def test_an_output_has_the_same_bits_whatever_else_is_computed(
    inputs: dict[str, Any], precision: str
) -> None:
    def rows_of(outputs: Sequence[str]) -> dict[str, Features]:
        config = replace(UNTRAINED_INCEPTION, precision=precision)
        needed = {name for output in outputs for name in INPUTS_OF[output]}
        ranges = ranges_for(config, None, None) if precision == INT8 else None
        runtime = build_runtime("openvino", config, None, outputs, ranges)
        return by_output(runtime.rows({name: inputs[name] for name in needed}), outputs)

    if precision == INT8 and find_spec("nncf") is None:
        pytest.skip("NNCF is not installed")
    try:
        together = rows_of(OUTPUTS)
    except EngineError as error:
        pytest.skip(str(error))
    for outputs in (["features"], ["depths"], ["residual"]):
        for output, values in rows_of(outputs).items():
            np.testing.assert_array_equal(values, together[output])


def test_features_beside_other_outputs_are_those_of_features_alone(
    with_all_outputs_of: Callable[[str], BlockRuntime],
    inputs: dict[str, Any],
    together_of: Callable[[str], Features],
) -> None:
    rows = with_all_outputs_of("openvino").rows(inputs)
    np.testing.assert_array_equal(by_output(rows)["features"], together_of("openvino")[:4])
    assert_they_agree(
        by_output(with_all_outputs_of("keras").rows(inputs))["features"], together_of("keras")[:4]
    )


def test_outputs_of_a_face_do_not_depend_on_the_other_faces_of_the_batch(
    name: str, with_all_outputs_of: Callable[[str], BlockRuntime], inputs: dict[str, Any]
) -> None:
    runtime = with_all_outputs_of(name)
    one = runtime.rows({key: array[2:3] for key, array in inputs.items()})
    np.testing.assert_array_equal(one, runtime.rows(inputs)[2:3])
    nothing = runtime.rows({key: array[:0] for key, array in inputs.items()})
    assert nothing.shape == (0, one.shape[1])


def test_only_outputs_averaged_over_regions_have_cells(name: str) -> None:
    assert build_runtime(name, UNTRAINED_INCEPTION, None, ["depths"]).cells is None
    cells = build_runtime(name, UNTRAINED_INCEPTION, None, ["residual"]).cells
    assert cells is not None and cells[0] == cells[1]


def test_a_region_is_an_average_of_its_own_part_of_the_face(
    with_all_outputs_of: Callable[[str], BlockRuntime], inputs: dict[str, Any]
) -> None:
    crops = np.zeros_like(inputs["crops_rgb"])
    crops[:, : crops.shape[1] // 2] = 255  # the eyes are in the upper half, the mouth is not
    rows = with_all_outputs_of("openvino").rows({**inputs, "crops_rgb": crops})
    regions = by_output(rows)["regions"].reshape(4, len(REGIONS), -1)
    largest = np.abs(regions).max()
    assert np.abs(regions[0, 0] - regions[0, 2]).max() > 0.1 * largest
