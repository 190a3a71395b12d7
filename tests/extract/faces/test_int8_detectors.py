"""Detectors whose networks are built from int8 ranges."""

from __future__ import annotations

from pathlib import Path

import int8_ranges
import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from detector_networks import write_retinaface_mobile_like

from deepfake_seq.errors import EngineError
from deepfake_seq.extract.faces import Face, build_detector
from deepfake_seq.extract.faces.windows import overlap


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_retinaface_mobile_like(tmp_path_factory.mktemp("deep") / "m.onnx", is_deep=True)


def noise(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)


def matches(face: Face, others: list[Face]) -> bool:
    return max((overlap(face, other) for other in others), default=0.0) > 0.9


@pytest.mark.parametrize("size", [(96, 128), (360, 640), (97, 131)])
def test_int8_boxes_are_close_to_float32_boxes(size: tuple[int, int], network: Path) -> None:
    images = noise(*size)
    (exact,) = build_detector("retinaface-mobile", network).detect(images)
    ranges = int8_ranges.of_detector(network)
    (rounded,) = build_detector("retinaface-mobile", network, "int8", ranges).detect(images)
    sure = [face for face in exact if face.score > 0.95]
    assert len(sure) > 1
    assert np.mean([matches(face, rounded) for face in sure]) > 0.9
    assert [face.score for face in rounded] != [face.score for face in exact]


def test_ranges_of_another_detector_are_refused(network: Path) -> None:
    ranges = int8_ranges.of_detector(network)
    wrong = msgspec.structs.replace(ranges.quantizers[0], kind="Concat")
    other = msgspec.structs.replace(ranges, quantizers=(wrong,))
    with pytest.raises(EngineError, match="ranges do not fit this retinaface-mobile"):
        build_detector("retinaface-mobile", network, "int8", other)


def test_int8_without_ranges_is_refused(network: Path) -> None:
    with pytest.raises(ValueError, match="int8"):
        build_detector("retinaface-mobile", network, "int8")
