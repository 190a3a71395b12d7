"""The CNN on OpenVINO, the fastest runtime on a CPU; imports neither TensorFlow nor Keras.

The network is translated once per set of outputs, in a separate process (see `export_ir`), and
compiled once per machine and precision. Both results are cached on disk if there is room for them.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq import atomic
from deepfake_seq import weights as weights_files
from deepfake_seq.backend import load_openvino
from deepfake_seq.config import BackboneConfig
from deepfake_seq.errors import EngineError, WeightsError
from deepfake_seq.extract.backbones import export_ir, openvino_cpu
from deepfake_seq.extract.backbones.outputs import Inputs, inputs_of, whole, width_of
from deepfake_seq.extract.backbones.quantize import VERSION, quantize
from deepfake_seq.extract.backbones.ranges import Ranges
from deepfake_seq.extract.backbones.table import Backbone, backbone_of, weights_id

_LOG = logging.getLogger(__name__)

_LAYOUT_VERSION = 3
_AHEAD = 8
"""Number of images given to each of OpenVINO's streams at a time."""
_SEPARATOR = b"\0"  # an XML file contains none


class OpenVinoRuntime:
    """See `BlockRuntime`.

    Each face is a separate request, and OpenVINO chooses how many run in parallel. This is as fast
    as batches, and the values of a face never depend on other faces.
    """

    def __init__(
        self,
        config: BackboneConfig,
        weights: Path | None,
        outputs: Sequence[str] = ("features",),
        ranges: Ranges | None = None,
    ) -> None:
        row = backbone_of(config.name, weights)
        if ranges:
            openvino_cpu.warn_if_int8_is_slow()
        self._stops = np.cumsum([width_of(output, row) for output in outputs]).tolist()
        computed = whole(outputs) if ranges else list(outputs)
        self._ports = [computed.index(output) for output in outputs]
        compiled = _compiled(config, weights, computed, ranges)
        shapes = {port.get_any_name(): tuple(port.shape) for port in compiled.inputs}
        needed = inputs_of(outputs)
        self._inputs = {
            name: None if name in needed else np.zeros(shape, dtype=np.float32)
            for name, shape in shapes.items()
        }
        self.cells = shapes["region_weights"][2:] if "region_weights" in needed else None
        self._requests = openvino_cpu.ParallelRequests(compiled)
        self.batch = _AHEAD * self._requests.parallel

    def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `CnnRuntime.features`."""
        return self.rows({"crops_rgb": crops_rgb})

    def rows(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """See `BlockRuntime.rows`."""
        faces = next(len(inputs[name]) for name, unused in self._inputs.items() if unused is None)
        rows = np.empty((faces, self._stops[-1]), dtype=np.float32)
        images = (
            [
                inputs[name][number : number + 1] if unused is None else unused
                for name, unused in self._inputs.items()
            ]
            for number in range(faces)
        )
        for row, outputs in zip(rows, self._requests.outputs(images), strict=True):
            for port, part in zip(self._ports, np.split(row, self._stops[:-1]), strict=True):
                part[:] = outputs[port][0]
        return rows


def _compiled(
    config: BackboneConfig, weights: Path | None, outputs: Sequence[str], ranges: Ranges | None
) -> Any:
    """Return the compiled network; translate and compile it if it is not on disk yet.

    OpenVINO's own cache is not used, because it does not write atomically and does not detect
    damaged files.

    Raises:
        WeightsError: The weights file does not match the network.
        EngineError: The translation or the compilation fails.
    """
    openvino = load_openvino()
    core = openvino.Core()
    settings = openvino_cpu.settings(config.precision)
    machine = f"{openvino.get_version()} {core.get_property('CPU', 'FULL_DEVICE_NAME')}"
    key = hashlib.sha256(f"{machine} {sorted(settings.items())}".encode()).hexdigest()[:12]
    float32 = _cache_path(config.name, weights, outputs)
    form = f"int8v{VERSION}-{ranges.sha256[:24]}" if ranges else config.precision
    path = float32.with_name(f"{float32.stem}-{form}-{key}.blob")
    blob = _read(path)
    if blob is not None:
        try:
            compiled = core.import_model(blob, "CPU", settings)
            openvino_cpu.require_precision(compiled, config.precision)
            return compiled
        except RuntimeError as error:
            _LOG.info("compiling %s again: %s", path, error)
    network = _read(float32)
    is_new = network is None
    if network is None:
        network = _translate(config.name, weights, outputs)
    try:
        model = core.read_model(*network.split(_SEPARATOR, maxsplit=1))
        if ranges:
            quantize(model, ranges)
        compiled = openvino_cpu.compile_for_throughput(core, model, config.precision)
    except RuntimeError as error:
        raise EngineError(
            f"OpenVINO cannot run {config.name}; use --runtime keras. "
            f"OpenVINO reported: {' '.join(str(error).split())[-200:]}"
        ) from error
    exported = io.BytesIO()
    compiled.export_model(exported)
    _write({path: exported.getvalue()} | ({float32: network} if is_new else {}))
    return compiled


def translated(
    config: BackboneConfig, weights: Path | None, outputs: Sequence[str]
) -> tuple[bytes, bytes]:
    """Return the contents of the `.xml` and the `.bin` file of a float32 network.

    Args:
        config: The CNN.
        weights: Path of the weights file; None for seeded random weights.
        outputs: Names of the outputs.

    Raises:
        WeightsError: The weights file does not match the network.
        EngineError: The translation fails.
    """
    path = _cache_path(config.name, weights, outputs)
    network = _read(path)
    if network is None:
        network = _translate(config.name, weights, outputs)
        _write({path: network})
    xml, _, weights_bin = network.partition(_SEPARATOR)
    return xml, weights_bin


def _cache_path(name: str, weights: Path | None, outputs: Sequence[str]) -> Path:
    """Return the path of the translated network."""
    identity = weights_id(weights).replace(":", "-")
    stem = f"{name}-{identity[:24]}-keras{version('keras')}-v{_LAYOUT_VERSION}-{'-'.join(outputs)}"
    return weights_files.home() / "openvino" / f"{stem}.ir"


def _read(path: Path) -> bytes | None:
    """Read a file written by `_write`; return None if it is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, blob = content[:32], content[32:]
    if hashlib.sha256(blob).digest() != digest:
        _LOG.warning("%s is damaged; making it again", path)
        return None
    return blob


def _write(contents: dict[Path, bytes]) -> None:
    """Write files that start with the SHA-256 of the rest, the most useful one first.

    If there is no room, print one warning and leave out the remaining files.
    """
    for path, content in contents.items():
        try:
            with atomic.replacing(path) as out:
                out.write(hashlib.sha256(content).digest())
                out.write(content)
        except OSError as error:
            _LOG.warning(
                "the network (%s bytes) cannot be saved in %s: %s. It will be translated and "
                "compiled again when it is needed. Set DEEPSEQ_HOME to a writable folder with "
                "room for it.",
                f"{sum(map(len, contents.values())):,}",
                path.parent,
                error.strerror,
            )
            return


def _translate(name: str, weights: Path | None, outputs: Sequence[str]) -> bytes:
    """Return the contents of OpenVINO's `.xml` and `.bin` files, separated by `_SEPARATOR`.

    Its inputs and outputs are those of `outputs.INPUTS_OF`, of one face.

    Raises:
        WeightsError: The weights file does not match the network.
        EngineError: The translation fails.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="deepseq-") as folder:
            network = Path(folder, "network.xml")
            _export(backbone_of(name, weights), weights, outputs, network)
            return network.read_bytes() + _SEPARATOR + network.with_suffix(".bin").read_bytes()
    except OSError as error:
        raise EngineError(
            f"{name} cannot be translated for OpenVINO: {error}. Set TMPDIR to a writable folder "
            "for temporary files."
        ) from error


def _export(row: Backbone, weights: Path | None, outputs: Sequence[str], target: Path) -> None:
    source = str(weights.absolute()) if weights else ""
    arguments = [json.dumps(asdict(row)), source, ",".join(outputs), str(target)]
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
        raise EngineError(
            f"{row.application} could not be translated for OpenVINO in {target.parent.parent}: "
            f"{last}. TMPDIR sets another folder for temporary files; --runtime keras needs no "
            "translation."
        )
