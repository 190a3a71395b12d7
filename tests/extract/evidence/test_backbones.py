"""Evidence blocks of every CNN, and of finetuned ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tiny_cnn

from deepfake_seq.config import BACKBONES, FLOATS, INT8, RUNTIMES, STANDARD_EVIDENCE, BackboneConfig
from deepfake_seq.errors import EngineError
from deepfake_seq.extract.backbones import finetuned_weights
from deepfake_seq.extract.backbones.ranges import Ranges
from deepfake_seq.extract.backbones.table import BACKBONE_TABLE, build_keras_model
from deepfake_seq.extract.calibration import ranges_for
from deepfake_seq.extract.evidence import Evidence
from deepfake_seq.face_regions import FIXED_LANDMARKS


def blocks_of(
    runtime: str,
    config: BackboneConfig,
    weights: Path | None,
    portrait_rgb: npt.NDArray[np.uint8],
    blocks: Sequence[str] = STANDARD_EVIDENCE,
    ranges: Ranges | None = None,
) -> dict[str, npt.NDArray[np.float32]]:
    evidence = Evidence.build(blocks, runtime, config, weights, ranges)
    square = cv2.resize(portrait_rgb[:500, :500], (180, 180))
    landmarks = np.float32(FIXED_LANDMARKS * 180)
    return evidence.split(evidence.compute(evidence.prepare([square], [landmarks])))


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_every_cnn_gives_the_same_blocks_on_all_runtimes(
    name: str, portrait_rgb: npt.NDArray[np.uint8]
) -> None:
    config = BackboneConfig(name, "untrained")
    openvino, keras = (blocks_of(each, config, None, portrait_rgb) for each in RUNTIMES)
    for block, rows in openvino.items():
        assert np.abs(rows).max() < np.finfo(np.float16).max
        assert np.abs(rows - keras[block]).max() / np.abs(rows).max() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("precision", FLOATS)
@pytest.mark.parametrize("name", BACKBONES)
def test_the_features_of_every_cnn_have_the_same_bits_beside_other_blocks(
    name: str, precision: str, portrait_rgb: npt.NDArray[np.uint8]
) -> None:
    config = BackboneConfig(name, "untrained", precision)
    try:
        alone = blocks_of("openvino", config, None, portrait_rgb, ["features"])
    except EngineError as error:
        pytest.skip(str(error))
    together = blocks_of("openvino", config, None, portrait_rgb)
    np.testing.assert_array_equal(together["features"], alone["features"])


@pytest.mark.slow
@pytest.mark.skipif(find_spec("nncf") is None, reason="NNCF is not installed")
@pytest.mark.parametrize("name", BACKBONES)
def test_every_cnn_has_an_int8_form_with_the_same_bits_beside_other_blocks(
    name: str, portrait_rgb: npt.NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepfake_seq.extract.calibration.find.CROPS", 8)
    monkeypatch.setenv("DEEPSEQ_HOME", str(tmp_path))  # these ranges are for this test only
    config = BackboneConfig(name, "untrained", INT8)
    ranges = ranges_for(config, None, None)
    together = blocks_of("openvino", config, None, portrait_rgb, ranges=ranges)
    for block in ("features", "depths", "residual"):
        alone = blocks_of("openvino", config, None, portrait_rgb, [block], ranges)
        np.testing.assert_array_equal(together[block], alone[block])
    exact = blocks_of("openvino", replace(config, precision="float32"), None, portrait_rgb)
    for block, rows in exact.items():
        if np.abs(rows).max() > 1e-6:  # the last maps of an untrained EfficientNet are almost zero
            lengths = np.linalg.norm(rows) * np.linalg.norm(together[block])
            assert (rows * together[block]).sum() / lengths > 0.97, block


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_finetuned_cnn_with_another_input_size_gives_all_blocks(
    runtime: str, tiny_home: Path, tmp_path: Path, portrait_rgb: npt.NDArray[np.uint8]
) -> None:
    path = tmp_path / finetuned_weights.FILE_NAME
    with tiny_cnn.in_place(tiny_home):
        config = BackboneConfig("inception_v3", "untrained")
        untrained = blocks_of(runtime, config, None, portrait_rgb)
        weights = build_keras_model(BACKBONE_TABLE["inception_v3"], None).get_weights()
        finetuned_weights.write(path, "inception_v3", 76, [1.5 * array for array in weights])
        tuned = blocks_of(runtime, BackboneConfig("inception_v3", str(path)), path, portrait_rgb)
    for block, rows in tuned.items():
        assert rows.shape == untrained[block].shape
        assert np.abs(rows - untrained[block]).max() > 0.01 * np.abs(untrained[block]).max()
