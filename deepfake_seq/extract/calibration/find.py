"""Find the ranges of a network: those of a store or run, those found before, or new ones."""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from deepfake_seq import atomic, weights
from deepfake_seq.config import BackboneConfig
from deepfake_seq.errors import EngineError
from deepfake_seq.extract.backbones import openvino
from deepfake_seq.extract.backbones.outputs import OUTPUTS
from deepfake_seq.extract.backbones.ranges import Ranges, decode_ranges, find_ranges
from deepfake_seq.extract.backbones.table import weights_id
from deepfake_seq.extract.calibration.crops import CROPS
from deepfake_seq.extract.calibration.frames import FRAMES
from deepfake_seq.extract.faces.detectors import detector_network

_LOG = logging.getLogger(__name__)

PROGRAM = "deepfake_seq.extract.calibration.nncf_program"

_VERSION = 1
"""Must be increased when a change of the calibration changes its ranges."""


_WriteNetwork = Callable[[Path], Path]
"""Gets an empty folder, and returns the path of the float32 network for `PROGRAM`."""


def ranges_for(config: BackboneConfig, weights_file: Path | None, given: bytes | None) -> Ranges:
    """Return the int8 ranges of a CNN; find them with NNCF if they are not known.

    Args:
        config: The CNN.
        weights_file: Path of its weights; None for an untrained CNN.
        given: Content of the ranges file of a run or store; ranges of other weights in it are not
            used.

    Raises:
        EngineError: The ranges are not known, and NNCF is not installed or fails.
        StoreError: A ranges file is damaged.
        WeightsError: The weights file does not match the CNN.
    """

    def write(folder: Path) -> Path:
        xml, weights_bin = openvino.translated(config, weights_file, OUTPUTS)
        network = folder / "network.xml"
        network.write_bytes(xml)
        network.with_suffix(".bin").write_bytes(weights_bin)
        return network

    return _ranges(config.name, weights_id(weights_file), given, write, CROPS)


def detector_ranges_for(detector: str, weights_file: Path, given: bytes | None) -> Ranges:
    """Return the int8 ranges of a detector; find them with NNCF if they are not known.

    Args:
        detector: One of `config.RETINAFACES`.
        weights_file: Path of its weights.
        given: See `ranges_for`.

    Raises:
        EngineError: The ranges are not known, and NNCF is not installed or fails.
        StoreError: A ranges file is damaged.
        WeightsError: The weights file does not contain the network of the detector.
    """

    def check(_: Path) -> Path:
        detector_network(detector, weights_file)
        return weights_file

    return _ranges(detector, weights.digest_of(weights_file), given, check, FRAMES)


def _ranges(
    name: str, digest: str, given: bytes | None, write: _WriteNetwork, count: int
) -> Ranges:
    path = weights.home() / "int8" / f"{name}-{digest[:24].replace(':', '-')}-v{_VERSION}.json"
    kept = path.read_bytes() if path.is_file() else None
    return (
        find_ranges(given, "the int8 ranges of the store or run", name, digest)
        or find_ranges(kept, str(path), name, digest)
        or _find(name, digest, write, count, path)
    )


def _find(name: str, digest: str, write: _WriteNetwork, count: int, path: Path) -> Ranges:
    """Find new ranges and keep them at `path`."""
    if find_spec("nncf") is None:
        raise EngineError(
            f"int8 needs NNCF once, to find the ranges of values in {name}: run "
            "`pip install 'deepfake-seq[int8]'`. Ranges found on another machine are in its stores "
            f"and runs, in the file int8.json, and can be copied to {path}"
        )
    _LOG.info(
        "finding the int8 ranges of %s from generated faces; this takes minutes, once for these "
        "weights",
        name,
    )
    content = _run_nncf(name, digest, write, count)
    try:
        atomic.write_bytes(path, content)
    except OSError as error:
        _LOG.warning(
            "the int8 ranges cannot be saved in %s: %s. They will be found again when they are "
            "needed. Set DEEPSEQ_HOME to a writable folder.",
            path.parent,
            error.strerror,
        )
    return decode_ranges(content, str(path))[0]


def _run_nncf(name: str, digest: str, write: _WriteNetwork, count: int) -> bytes:
    """Run NNCF in a process of its own; return the content of the ranges file."""
    try:
        with tempfile.TemporaryDirectory(prefix="deepseq-") as folder:
            target = Path(folder, "int8.json")
            arguments = [name, str(write(Path(folder))), digest, str(count), str(target)]
            result = subprocess.run(
                [sys.executable, "-m", PROGRAM, *arguments],
                capture_output=True,
                text=True,
                check=False,
            )
            if result.returncode:
                last = (result.stderr.strip().splitlines() or ["no message"])[-1]
                raise EngineError(f"NNCF cannot find the int8 ranges of {name}: {last}")
            return target.read_bytes()
    except OSError as error:
        raise EngineError(
            f"the int8 ranges of {name} cannot be found: {error}. Set TMPDIR to a writable "
            "folder for temporary files."
        ) from error
