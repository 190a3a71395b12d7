"""Networks that are built from int8 ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import int8_ranges
import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import tiny_cnn as tiny

from deepfake_seq.config import BackboneConfig
from deepfake_seq.errors import EngineError, StoreError, UsageError
from deepfake_seq.extract.backbones.outputs import OUTPUTS, width_of
from deepfake_seq.extract.backbones.quantize import rounded_weights
from deepfake_seq.extract.backbones.ranges import (
    Ranges,
    decode_ranges,
    encode_ranges,
    find_ranges,
    rounded_step,
)
from deepfake_seq.extract.backbones.runtime import BlockRuntime, build_runtime
from deepfake_seq.extract.backbones.table import BACKBONE_TABLE
from deepfake_seq.face_regions import region_weights

pytestmark = pytest.mark.usefixtures("tiny_cnn")

FLOAT32 = BackboneConfig(weights="untrained")
INT8 = replace(FLOAT32, precision="int8")
TINY = int8_ranges.TINY

Rows = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def inputs() -> dict[str, npt.NDArray[np.generic]]:
    """Noise in place of four faces."""
    shape = (4, tiny.CROP_SIZE, tiny.CROP_SIZE, 3)
    images = np.random.default_rng(0).integers(0, 256, (2, *shape), dtype=np.uint8)
    regions = region_weights(None, tiny.CROP_SIZE, (8, 8))
    return {
        "crops_rgb": images[0],
        "residuals": images[1],
        "region_weights": np.repeat(regions[None], 4, axis=0),
    }


def int8_network(outputs: Sequence[str] = ("features",), ranges: Ranges = TINY) -> BlockRuntime:
    return build_runtime("openvino", INT8, None, outputs, ranges)


def by_output(rows: Rows, outputs: Sequence[str]) -> dict[str, Rows]:
    widths = [width_of(output, BACKBONE_TABLE["inception_v3"]) for output in outputs]
    return dict(zip(outputs, np.split(rows, np.cumsum(widths)[:-1], axis=1), strict=True))


def test_int8_outputs_are_close_to_float32_outputs(
    inputs: dict[str, npt.NDArray[np.generic]],
) -> None:
    exact = by_output(build_runtime("openvino", FLOAT32, None, OUTPUTS).rows(inputs), OUTPUTS)
    rounded = by_output(int8_network(OUTPUTS).rows(inputs), OUTPUTS)
    for output, values in exact.items():
        assert np.abs(values - rounded[output]).max() > 0
        lengths = np.linalg.norm(values, axis=1) * np.linalg.norm(rounded[output], axis=1)
        assert ((values * rounded[output]).sum(axis=1) / lengths).min() > 0.99


@pytest.mark.slow
def test_an_int8_output_has_the_same_bits_whatever_else_is_computed(
    inputs: dict[str, npt.NDArray[np.generic]],
) -> None:
    together = by_output(int8_network(OUTPUTS).rows(inputs), OUTPUTS)
    for outputs in (["features"], ["depths"], ["residual"], ["residual", "features"]):
        for output, values in by_output(int8_network(outputs).rows(inputs), outputs).items():
            np.testing.assert_array_equal(values, together[output])


def test_a_shift_changes_its_channel_by_its_value(
    inputs: dict[str, npt.NDArray[np.generic]],
) -> None:
    *others, last = TINY.kernels
    shifts = (0.5, *last.shifts[1:])
    shifted = msgspec.structs.replace(last, shifts=shifts)
    ranges = msgspec.structs.replace(TINY, kernels=(*others, shifted))
    before = int8_network().features(inputs["crops_rgb"].astype(np.uint8))
    after = int8_network(ranges=ranges).features(inputs["crops_rgb"].astype(np.uint8))
    changed = np.abs(after - before).max(axis=0)
    assert 0 < changed[0] <= 0.5
    assert not changed[1:].any()


def test_ranges_of_another_network_are_refused() -> None:
    first, *others = TINY.quantizers
    for change in ({"kind": "Concat"}, {"readers": ((6, 0),)}, {"steps": (1.0, 2.0)}):
        wrong = msgspec.structs.replace(first, **change)
        ranges = msgspec.structs.replace(TINY, quantizers=(wrong, *others))
        with pytest.raises(EngineError, match="ranges do not fit this inception_v3"):
            int8_network(["residual"], ranges)


def test_networks_of_other_ranges_are_compiled_apart(
    inputs: dict[str, npt.NDArray[np.generic]], tiny_home: Path
) -> None:
    int8_network()
    before = set(tiny_home.glob("openvino/*-int8v*.blob"))
    int8_network()
    assert set(tiny_home.glob("openvino/*-int8v*.blob")) == before
    int8_network(ranges=msgspec.structs.replace(TINY, kernels=()))
    assert len(set(tiny_home.glob("openvino/*-int8v*.blob")) - before) == 1


def test_keras_refuses_int8() -> None:
    with pytest.raises(UsageError, match="needs --runtime openvino"):
        build_runtime("keras", INT8, None, ranges=TINY)


def test_rounded_weights_differ_by_at_most_half_a_step() -> None:
    weights = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    weights[3] = 0
    values, steps = rounded_weights(weights, 255)
    assert np.abs(values[[0, 1, 2, 4]]).max(axis=1).tolist() == [127] * 4
    assert (np.abs(values * steps - weights) <= steps / 2 * 1.001).all()


def test_ranges_are_read_as_they_were_written() -> None:
    other = msgspec.structs.replace(TINY, network="retinaface")
    written = encode_ranges([other, TINY])
    assert decode_ranges(written, "here") == (other, TINY)
    assert find_ranges(written, "here", "inception_v3", TINY.weights_sha256) == TINY
    assert find_ranges(written, "here", "inception_v3", "other weights") is None
    assert other.sha256 != TINY.sha256


@pytest.mark.parametrize("data", [b"", b"[]", b'{"format":"other"}', b"\xff", b"[" * 100_000])
def test_damaged_ranges_are_a_store_error_naming_the_file(data: bytes) -> None:
    with pytest.raises(StoreError, match=r"^here is no file of int8 ranges") as caught:
        decode_ranges(data, "here")
    assert len(str(caught.value).splitlines()) == 1


def test_almost_equal_steps_are_stored_as_the_same_number() -> None:
    assert rounded_step(0.0123456789) == rounded_step(0.0123456789 * (1 + 2e-7)) == 0.012346
