"""The CNN on OpenVINO, the fastest runtime on a CPU; imports neither TensorFlow nor Keras.

The network is translated once with all its outputs, in a separate process (see `export_ir`), and
compiled once per machine, precision and set of requested outputs; both results are cached on disk.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq import atomic
from deepfake_seq import weights as weights_files
from deepfake_seq.config import BackboneConfig
from deepfake_seq.errors import EngineError, WeightsError
from deepfake_seq.extract.backbones import export_ir, openvino_cpu
from deepfake_seq.extract.backbones.outputs import Inputs, inputs_of, width_of
from deepfake_seq.extract.backbones.table import UNTRAINED_ID, Backbone, backbone_of

_LOG = logging.getLogger(__name__)

_LAYOUT_VERSION = 3
_AHEAD = 8
"""Number of images given to each of OpenVINO's streams at a time."""


class OpenVinoRuntime:
    """See `BlockRuntime`.

    Each face is a separate request, and OpenVINO chooses how many run in parallel. This is as fast
    as batches, and the values of a face never depend on other faces.
    """

    def __init__(
        self, config: BackboneConfig, weights: Path | None, outputs: Sequence[str] = ("features",)
    ) -> None:
        import openvino

        row = backbone_of(config.name, weights)
        widths = [width_of(output, row) for output in outputs]
        self._stops = np.cumsum(widths).tolist()
        self._inputs = inputs_of(outputs)
        compiled = _compiled(config, translated(config.name, row, weights), outputs)
        self.cells = None
        if "region_weights" in self._inputs:
            self.cells = tuple(compiled.input("region_weights").shape)[2:]
        self._requests = openvino.AsyncInferQueue(compiled)
        self._requests.set_callback(self._keep)
        self.batch = _AHEAD * len(self._requests)

    def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `CnnRuntime.features`."""
        return self.rows({"crops_rgb": crops_rgb})

    def rows(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """See `BlockRuntime.rows`."""
        arrays = [inputs[name] for name in self._inputs]
        rows = np.empty((len(arrays[0]), self._stops[-1]), dtype=np.float32)
        for number, row in enumerate(rows):
            self._requests.start_async([array[number : number + 1] for array in arrays], row)
        self._requests.wait_all()
        return rows

    def _keep(self, request: Any, row: npt.NDArray[np.float32]) -> None:
        for number, part in enumerate(np.split(row, self._stops[:-1])):
            part[:] = request.get_output_tensor(number).data[0]


def _compiled(config: BackboneConfig, network: Path, outputs: Sequence[str]) -> Any:
    """Return the compiled network with some of its outputs; compile it if it is not on disk yet.

    The cached file starts with the SHA-256 of the rest. OpenVINO's own cache is not used, because
    it does not write atomically and does not detect damaged files.
    """
    import openvino

    core = openvino.Core()
    settings = openvino_cpu.settings(config.precision)
    machine = f"{openvino.get_version()} {core.get_property('CPU', 'FULL_DEVICE_NAME')}"
    key = hashlib.sha256(f"{machine} {sorted(settings.items())} {[*outputs]}".encode()).hexdigest()[
        :12
    ]
    path = network.with_name(f"{network.stem}-{config.precision}-{key}.blob")
    blob = _read(path)
    if blob is not None:
        try:
            compiled = core.import_model(blob, "CPU", settings)
            openvino_cpu.require_precision(compiled, config.precision)
            return compiled
        except RuntimeError as error:
            _LOG.info("compiling %s again: %s", path, error)
    try:
        compiled = openvino_cpu.compile_for_throughput(
            core, _with_outputs(core.read_model(network), outputs), config.precision
        )
    except RuntimeError as error:
        raise EngineError(
            f"OpenVINO cannot run {config.name}; use --runtime keras. "
            f"OpenVINO reported: {' '.join(str(error).split())[-200:]}"
        ) from error
    exported = io.BytesIO()
    compiled.export_model(exported)
    _write(path, exported.getvalue())
    return compiled


def _with_outputs(model: Any, outputs: Sequence[str]) -> Any:
    """Return the part of a network that computes some outputs, in this order."""
    import openvino

    results = [model.output(name).get_node() for name in outputs]
    parameters = [model.input(name).get_node() for name in inputs_of(outputs)]
    return openvino.Model(results, parameters, model.get_friendly_name())


def _read(path: Path) -> bytes | None:
    """Read a file written by `_write`; return None if it is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, blob = content[:32], content[32:]
    if hashlib.sha256(blob).digest() != digest:
        _LOG.warning("%s is damaged; compiling it again", path)
        return None
    return blob


def _write(path: Path, blob: bytes) -> None:
    try:
        with atomic.replacing(path) as out:
            out.write(hashlib.sha256(blob).digest())
            out.write(blob)
    except OSError as error:  # only makes the next start half a second slower
        _LOG.warning("cannot write the compiled network to %s: %s", path, error)


def translated(name: str, row: Backbone, weights: Path | None) -> Path:
    """Return the path of the network as OpenVINO's `.xml`; translate it if it is not on disk yet.

    Its inputs and outputs are those of `outputs.INPUTS_OF`, of one face.

    Raises:
        WeightsError: The weights file does not match the network.
        EngineError: The translation fails.
    """
    identity = weights_files.digest_of(weights) if weights else UNTRAINED_ID.replace(":", "-")
    stem = f"{name}-{identity[:24]}-keras{version('keras')}-v{_LAYOUT_VERSION}"
    target = weights_files.home() / "openvino" / f"{stem}.xml"
    if not target.is_file():
        _translate(name, row, weights, target)
    return target


def _translate(name: str, row: Backbone, weights: Path | None, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    arguments = [json.dumps(asdict(row)), str(weights.absolute()) if weights else "", str(target)]
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
