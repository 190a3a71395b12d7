"""The weights file of a finetuned CNN, which is untrusted input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from deepfake_seq.errors import WeightsError
from deepfake_seq.extract.backbones import finetuned_weights
from deepfake_seq.extract.backbones.table import BACKBONE_TABLE, backbone_of, build_keras_model

SHAPES = [(3, 3, 3, 8), (8,), ()]


@pytest.fixture
def weights() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.normal(size=shape).astype(np.float32) for shape in SHAPES]


@pytest.fixture
def path(tmp_path: Path, weights: list[np.ndarray]) -> Path:
    path = tmp_path / finetuned_weights.FILE_NAME
    finetuned_weights.write(path, "vgg16", 64, weights)
    return path


def test_written_weights_are_read_back(path: Path, weights: list[np.ndarray]) -> None:
    assert finetuned_weights.describe(path) == ("vgg16", 64)
    for values, other in zip(finetuned_weights.read(path, SHAPES), weights, strict=True):
        np.testing.assert_array_equal(values, other)


def test_a_finetuned_cnn_keeps_its_input_size(path: Path) -> None:
    assert backbone_of("vgg16", path).crop_size == 64
    assert backbone_of("vgg16", None) == BACKBONE_TABLE["vgg16"]
    assert backbone_of("vgg16", Path("weights.h5")) == BACKBONE_TABLE["vgg16"]


def test_another_cnn_is_refused(path: Path) -> None:
    with pytest.raises(WeightsError, match="not a finetuned resnet50"):
        backbone_of("resnet50", path)


def test_an_input_size_too_small_for_the_cnn_is_refused(tmp_path: Path) -> None:
    finetuned_weights.write(tmp_path / finetuned_weights.FILE_NAME, "inception_v3", 64, [])
    with pytest.raises(WeightsError, match="75 pixels or more"):
        backbone_of("inception_v3", tmp_path / finetuned_weights.FILE_NAME)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        "",
        "[]",
        "[" * 100_000,
        '{"backbone": "vgg16"}',
        '{"backbone": 16, "crop_size": 32}',
        '{"backbone": "vgg16", "crop_size": "32"}',
        '{"backbone": "vgg16", "crop_size": true}',
        '{"backbone": "vgg16", "crop_size": -1}',
        '{"backbone": "vgg16", "crop_size": 2000}',
        '{"backbone": "vgg16", "crop_size": 1e999}',
        f'{{"backbone": "vgg16", "crop_size": {"9" * 5000}}}',
    ],
)
def test_a_file_without_valid_metadata_is_refused(tmp_path: Path, metadata: str | None) -> None:
    entries = None if metadata is None else {"deepseq": metadata}
    save_file({"weight_0000": np.zeros(1, np.float32)}, tmp_path / "a.safetensors", entries)
    with pytest.raises(WeightsError, match="not the weights file of a finetuned CNN"):
        finetuned_weights.describe(tmp_path / "a.safetensors")


@pytest.mark.parametrize("content", [b"", b"nonsense" * 10, b"\xff" * 8 + b"{}"])
def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    for use in (finetuned_weights.describe, lambda file: finetuned_weights.read(file, SHAPES)):
        with pytest.raises(WeightsError, match="cannot be read"):
            use(path)


def test_weights_with_unexpected_shapes_or_values_are_refused(
    path: Path, weights: list[np.ndarray]
) -> None:
    with pytest.raises(WeightsError, match="4 weights"):
        finetuned_weights.read(path, [*SHAPES, (1,)])
    with pytest.raises(WeightsError, match="weight_0001 must be"):
        finetuned_weights.read(path, [SHAPES[0], (9,), ()])
    weights[1][0] = np.nan
    finetuned_weights.write(path, "vgg16", 64, weights)
    with pytest.raises(WeightsError, match="finite"):
        finetuned_weights.read(path, SHAPES)


def test_a_network_is_built_from_finetuned_weights(tmp_path: Path) -> None:
    model = build_keras_model(replace(BACKBONE_TABLE["vgg16"], crop_size=32), None)
    changed = [weight + 1 for weight in model.get_weights()]
    finetuned_weights.write(tmp_path / finetuned_weights.FILE_NAME, "vgg16", 32, changed)
    path = tmp_path / finetuned_weights.FILE_NAME
    built = build_keras_model(backbone_of("vgg16", path), path)
    assert built.input_shape == (None, 32, 32, 3)
    for values, other in zip(built.get_weights(), changed, strict=True):
        np.testing.assert_array_equal(values, other)
