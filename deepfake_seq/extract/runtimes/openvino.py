"""The CNN on OpenVINO, the fastest way on a CPU. Neither TensorFlow nor Keras is imported here.

The network is translated once, in a process of its own (see `export_ir`), and kept on disk.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq import weights as weights_files
from deepfake_seq.config import BackboneConfig
from deepfake_seq.errors import EngineError, WeightsError
from deepfake_seq.extract.backbones import BACKBONE_TABLE, UNTRAINED_ID, preprocess
from deepfake_seq.extract.runtimes import export_ir
from deepfake_seq.extract.runtimes.base import BATCH, in_batches

_PRECISIONS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_LAYOUT_VERSION = 1


class OpenVinoRuntime:
    """See `CnnRuntime`."""

    def __init__(self, config: BackboneConfig, weights: Path | None) -> None:
        import openvino

        self._row = BACKBONE_TABLE[config.name]
        core = openvino.Core()
        model = core.read_model(translated(config.name, weights))
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": _PRECISIONS[config.precision],
        }
        try:
            compiled = core.compile_model(self._network(model), "CPU", settings)
        except RuntimeError as error:
            raise EngineError(
                f"OpenVINO cannot run {config.name}: use --runtime keras. "
                f"It said: {' '.join(str(error).split())[-200:]}"
            ) from error
        in_force = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if in_force != _PRECISIONS[config.precision]:
            raise EngineError(
                f"this CPU does not compute in {config.precision} (OpenVINO chose {in_force}). "
                "Use --precision float32."
            )
        self._request = compiled.create_infer_request()

    def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `CnnRuntime.features`."""
        parts = [np.zeros((0, self._row.width), dtype=np.float32)]
        for batch, count in in_batches(crops_rgb):
            output = self._request.infer([preprocess(batch, self._row.inputs)])[0]
            parts.append(np.array(output[:count], dtype=np.float32))
        return np.concatenate(parts)

    def _network(self, model: Any) -> Any:
        """Fix the batch size, and take images as (N, S, S, 3) although the network wants planes."""
        from openvino import Layout
        from openvino.preprocess import PrePostProcessor

        side = self._row.crop_size
        model.reshape([BATCH, 3, side, side])
        processor = PrePostProcessor(model)
        processor.input().tensor().set_layout(Layout("NHWC"))
        processor.input().model().set_layout(Layout("NCHW"))
        return processor.build()


def translated(name: str, weights: Path | None) -> Path:
    """The network as OpenVINO's `.xml`, translated now if it is not on disk yet.

    Raises:
        WeightsError: The weights do not fit the network.
        EngineError: The translation fails.
    """
    identity = weights_files.digest_of(weights) if weights else UNTRAINED_ID.replace(":", "-")
    stem = f"{name}-{identity[:24]}-keras{version('keras')}-v{_LAYOUT_VERSION}"
    target = weights_files.home() / "openvino" / f"{stem}.xml"
    if not target.is_file():
        _translate(name, weights, target)
    return target


def _translate(name: str, weights: Path | None, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    arguments = [name, str(weights.absolute()) if weights else "", str(target)]
    result = subprocess.run(
        [sys.executable, "-m", export_ir.__name__, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    last = (result.stderr.strip().splitlines() or ["no message"])[-1]
    if result.returncode == export_ir.BAD_WEIGHTS:
        raise WeightsError(last)
    if result.returncode:
        raise EngineError(f"{name} could not be translated for OpenVINO: {last}")
