"""The CNN on OpenVINO, the fastest runtime on a CPU; imports neither TensorFlow nor Keras.

The network is translated once, in a separate process (see `export_ir`), and compiled once per
machine and precision; both results are cached on disk.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import subprocess
import sys
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
from deepfake_seq.extract.backbones.table import UNTRAINED_ID, Backbone, backbone_of

_LOG = logging.getLogger(__name__)

_LAYOUT_VERSION = 2
_AHEAD = 8
"""Number of images given to each of OpenVINO's streams at a time."""


class OpenVinoRuntime:
    """See `CnnRuntime`.

    Each image is a separate request, and OpenVINO chooses how many run in parallel. This is as fast
    as batches, and the features of an image never depend on other images.
    """

    def __init__(self, config: BackboneConfig, weights: Path | None) -> None:
        import openvino

        row = backbone_of(config.name, weights)
        self._width = row.width
        compiled = _compiled(config, translated(config.name, row, weights))
        self._requests = openvino.AsyncInferQueue(compiled)
        self._requests.set_callback(_keep)
        self.batch = _AHEAD * len(self._requests)

    def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `CnnRuntime.features`."""
        features = np.empty((len(crops_rgb), self._width), dtype=np.float32)
        for crop, row in zip(crops_rgb, features, strict=True):
            self._requests.start_async([crop[None]], row)
        self._requests.wait_all()
        return features


def _keep(request: Any, row: npt.NDArray[np.float32]) -> None:
    row[:] = request.get_output_tensor(0).data[0]


def _compiled(config: BackboneConfig, network: Path) -> Any:
    """Return the compiled network; compile it if the compiled form is not on disk yet.

    The cached file starts with the SHA-256 of the rest. OpenVINO's own cache is not used, because
    it does not write atomically and does not detect damaged files.
    """
    import openvino

    core = openvino.Core()
    settings = openvino_cpu.settings(config.precision)
    machine = f"{openvino.get_version()} {core.get_property('CPU', 'FULL_DEVICE_NAME')}"
    key = hashlib.sha256(f"{machine} {sorted(settings.items())}".encode()).hexdigest()[:12]
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
            core, core.read_model(network), config.precision
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

    Its input is uint8 (1, S, S, 3) RGB, its output float32 (1, D).

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
