"""Finding int8 ranges with NNCF."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import tiny_cnn as tiny_cnn_module
from calling import deepseq
from children import run_python
from detector_networks import write_retinaface_mobile_like

from deepfake_seq.config import BackboneConfig
from deepfake_seq.errors import EngineError, WeightsError
from deepfake_seq.extract.backbones.ranges import encode_ranges
from deepfake_seq.extract.calibration import detector_ranges_for, ranges_for
from deepfake_seq.extract.calibration.crops import CROPS, crops
from deepfake_seq.extract.calibration.frames import FRAMES, frames
from deepfake_seq.store import FeatureStore

INT8 = BackboneConfig(weights="untrained", precision="int8")

needs_nncf = pytest.mark.skipif(find_spec("nncf") is None, reason="NNCF is not installed")


def test_the_calibration_crops_are_always_the_same_and_all_different() -> None:
    made = list(crops())
    assert all(np.array_equal(*pair) for pair in zip(made, islice(crops(), 5), strict=False))
    assert len({crop.tobytes() for crop in made}) == CROPS
    assert all(crop.dtype == np.uint8 and crop.shape == (len(crop),) * 2 + (3,) for crop in made)


def test_the_calibration_frames_are_always_the_same_and_all_different() -> None:
    made = list(frames())
    assert all(np.array_equal(*pair) for pair in zip(made, islice(frames(), 5), strict=False))
    assert len({frame.tobytes() for frame in made}) == FRAMES
    assert {(360, 640, 3), (240, 427, 3), (96, 96, 3)} < {frame.shape for frame in made}


@pytest.mark.slow
@needs_nncf
def test_ranges_are_found_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_home: Path
) -> None:
    with tiny_cnn_module.in_place(empty_home / "deepseq"):
        found = ranges_for(INT8, None, None)
        monkeypatch.setattr("deepfake_seq.extract.calibration.find.PROGRAM", "no_such_program")
        assert ranges_for(INT8, None, None) == found
        assert ranges_for(INT8, None, encode_ranges([found])) == found
        with pytest.raises(EngineError, match=r"NNCF cannot find .* no_such_program"):
            # The ranges of other weights are not used.
            ranges_for(BackboneConfig("vgg16", "untrained", "int8"), None, encode_ranges([found]))
    assert {quantizer.image for quantizer in found.quantizers} == {"crops_rgb", "residuals"}


@pytest.mark.slow
@needs_nncf
def test_the_ranges_of_a_detector_are_found_once_and_leave_out_its_last_convolutions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_home: Path
) -> None:
    network = write_retinaface_mobile_like(tmp_path / "detector.onnx", is_deep=True)
    found = detector_ranges_for("retinaface-mobile", network, None)
    monkeypatch.setattr("deepfake_seq.extract.calibration.find.PROGRAM", "no_such_program")
    assert detector_ranges_for("retinaface-mobile", network, None) == found
    # Neither the depthwise convolution at each stride, nor those of boxes, scores and landmarks.
    assert len(found.kernels) == 2 * 3
    assert not any(kernel.shifts for kernel in found.kernels)


@needs_nncf
def test_a_file_without_the_network_of_the_detector_is_a_weights_error_naming_it(
    tmp_path: Path, empty_home: Path
) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"\x08 not a network")
    with pytest.raises(WeightsError, match=r"wrong\.onnx is not a RetinaFace"):
        detector_ranges_for("retinaface", wrong, None)


COMPARE = """
import os
from pathlib import Path
import numpy as np
import tiny_cnn
from deepfake_seq.backend import load_openvino
from calling import deepseq

from deepfake_seq.config import BackboneConfig
from deepfake_seq.extract.backbones import openvino
from deepfake_seq.extract.backbones.outputs import OUTPUTS
from deepfake_seq.extract.backbones.quantize import prepare, quantize
from deepfake_seq.extract.calibration.nncf_program import quantized_cnn, ranges_of

core = load_openvino().Core()
with tiny_cnn.in_place(Path(os.environ['DEEPSEQ_HOME'])):
    files = openvino.translated(BackboneConfig(weights='untrained'), None, OUTPUTS)
model, rebuilt = core.read_model(*files), core.read_model(*files)
prepare(model)
by_nncf = quantized_cnn(model)
quantize(rebuilt, ranges_of(model, by_nncf, 'inception_v3', 'untrained'))
generator = np.random.default_rng(0)
values = {
    name: generator.integers(60, 200, model.input(name).shape, dtype=np.uint8)
    for name in ('crops_rgb', 'residuals')
}
regions = model.input('region_weights').shape
values['region_weights'] = np.full(regions, 1 / (regions[2] * regions[3]), np.float32)
rows = [core.compile_model(network, 'CPU')(values).values() for network in (by_nncf, rebuilt)]
print(max(float(np.abs(one - other).max() / np.abs(one).max()) for one, other in zip(*rows)))
"""


@pytest.mark.slow
@needs_nncf
def test_a_network_built_from_ranges_computes_what_nncfs_own_does(tiny_home: Path) -> None:
    with tiny_cnn_module.in_place(tiny_home):
        largest_difference = float(run_python(COMPARE).split()[-1])
    # The ranges are rounded to five digits, so some values fall to the next of 256 levels.
    assert largest_difference < 0.01


COMPARE_DETECTORS = """
import os
from itertools import islice
from pathlib import Path
import numpy as np
from deepfake_seq.backend import load_openvino
from deepfake_seq.extract.backbones.quantize import prepare, quantize
from deepfake_seq.extract.calibration.frames import frames
from deepfake_seq.extract.calibration.nncf_program import quantized_detector, ranges_of
from deepfake_seq.extract.faces.detectors import detector_network

core = load_openvino().Core()
read = lambda: detector_network('retinaface-mobile', Path(os.environ['NETWORK']))
exact, rebuilt = read(), read()
prepare(exact)
by_nncf = quantized_detector(exact)
quantize(rebuilt, ranges_of(exact, by_nncf, 'retinaface-mobile', ''))
settings = {'INFERENCE_PRECISION_HINT': 'f32'}
networks = [core.compile_model(network, 'CPU', settings) for network in (exact, by_nncf, rebuilt)]
for frame in islice(frames(), 4):
    for outputs in zip(*(network(frame[None]).values() for network in networks)):
        before, expected, actual = outputs
        print(np.abs(actual - expected).mean() / np.abs(before - expected).mean())
"""


@pytest.mark.slow
@needs_nncf
def test_a_detector_built_from_ranges_computes_what_nncfs_own_does(tmp_path: Path) -> None:
    network = write_retinaface_mobile_like(tmp_path / "detector.onnx", is_deep=True)
    printed = run_python(COMPARE_DETECTORS, NETWORK=str(network)).split()
    # Compared with what rounding changes; as above, some values fall to the next level.
    assert max(float(ratio) for ratio in printed[-12:]) < 0.05


@pytest.mark.slow
@needs_nncf
def test_int8_features_of_faces_are_close_to_float32_features(
    shared: Path, tmp_path: Path, home: Path
) -> None:
    clips = [sorted((shared / "clips" / label).iterdir())[::8] for label in ("real", "fake")]
    options = [
        "--detector", "yunet", "--frames", 4,
        "--detector-weights", shared / "detectors" / "face_detection_yunet_2026may.onnx",
        "--weights", shared / "weights" / "inception_v3_2015.weights.h5",
    ]  # fmt: skip
    for precision in ("float32", "int8"):
        out = ["--out", tmp_path / precision, "--precision", precision]
        result = deepseq("extract", *clips[0], *clips[1], *out, *options)
        assert result.exit_code == 0, result.stderr
    exact, rounded = (FeatureStore.open(tmp_path / name) for name in ("float32", "int8"))
    cosines: dict[str, list[float]] = {}
    for record in exact:
        for block, rows in record.blocks.items():
            one, two = (
                np.asarray(each[: record.frames_valid], dtype=np.float64)
                for each in (rows, rounded[record.video_id].blocks[block])
            )
            lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
            cosines.setdefault(block, []).extend((one * two).sum(axis=1) / lengths)
    assert np.mean(cosines["features"]) > 0.99 and min(cosines["features"]) > 0.97
    assert min(cosines["depths"]) > 0.99
    assert min(*cosines["regions"], *cosines["residual"]) > 0.995
