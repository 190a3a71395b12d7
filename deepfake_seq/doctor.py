"""Check this machine: versions, the package that provides `cv2`, backends, devices, files."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec

from deepfake_seq import weights
from deepfake_seq.backend import load_openvino
from deepfake_seq.config import BackboneConfig, FaceConfig
from deepfake_seq.errors import WeightsError
from deepfake_seq.published import WEIGHTS

_PACKAGES = (
    "deepfake-seq",
    "tensorflow",
    "keras",
    "openvino",
    "av",
    "opencv-contrib-python-headless",
    "retina-face",
    "mtcnn",
    "onnxruntime",
    "h5py",
    "numpy",
    "scikit-learn",
    "safetensors",
    "matplotlib",
    "click",
    "rich",
)
_OPTIONAL = {"jax": "jax", "ray": "ray", "optuna": "sweep", "starlette": "web", "nncf": "int8"}
"""Optional packages, with the extra of deepseq that installs each."""
_DEFAULTS = (FaceConfig().detector, BackboneConfig().name)
"""Names of the weights that `extract` needs without options."""
_ROOM_BYTES = 400_000_000
"""Room for the default weights: 88 MB for InceptionV3, as much again for each of its translated and
compiled forms, and the rest for RetinaFace."""


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        name: Name of the check.
        ok: Whether deepseq can work with the result.
        detail: The result, and what to do if it is not ok.
    """

    name: str
    ok: bool
    detail: str


def examine() -> list[Finding]:
    """Run all checks; nothing is changed or downloaded."""
    machine = f"Python {platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores"
    findings = [Finding("machine", True, machine)]
    findings += [_package(name) for name in _PACKAGES]
    findings += [_optional(name, extra) for name, extra in _OPTIONAL.items()]
    findings += [_cv2(), _openvino(), _keras(), _home()]
    findings += [_weights(name) for name in WEIGHTS]
    return findings


def cv2_owners() -> list[str]:
    """Return the sorted names of the installed packages that provide `cv2`."""
    return sorted(set(packages_distributions().get("cv2", [])))


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, f"not installed: run `pip install {name}`")


def _optional(name: str, extra: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(
            name, True, f"not installed; optional: `pip install 'deepfake-seq[{extra}]'`"
        )


def _cv2() -> Finding:
    owners = cv2_owners()
    if len(owners) == 1:
        return Finding("cv2", True, f"provided by {owners[0]} only")
    problem = (
        f"provided by {' and '.join(owners)}, which overwrite each other" if owners else "missing"
    )
    removal = f"`pip uninstall -y {' '.join(owners)}` and then " if owners else ""
    return Finding(
        "cv2", False, f"{problem}: run {removal}`pip install opencv-contrib-python-headless`"
    )


def _openvino() -> Finding:
    try:
        core = load_openvino().Core()
        devices = [
            f"{device} ({core.get_property(device, 'FULL_DEVICE_NAME')})"
            for device in core.available_devices
        ]
    except (ImportError, RuntimeError) as error:
        return Finding("openvino devices", False, f"cannot be used: {error}")
    return Finding("openvino devices", bool(devices), ", ".join(devices) or "none")


def _keras() -> Finding:
    # Importing the backends would take seconds.
    installed = [name for name in ("tensorflow", "jax", "torch") if find_spec(name)]
    chosen = os.environ.get("KERAS_BACKEND") or "tensorflow"
    detail = f"{chosen} is used; installed: {', '.join(installed) or 'none'}"
    if chosen not in (*installed, "openvino", "numpy"):
        return Finding("keras backend", False, f"{detail}. Install {chosen} or unset KERAS_BACKEND")
    return Finding("keras backend", True, detail)


def _home() -> Finding:
    """Check that the folder of downloads and compiled networks can be created and filled."""
    home = weights.home()
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    remedy = "set DEEPSEQ_HOME to a writable folder with more room"
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Finding("DEEPSEQ_HOME", False, f"{home} is not writable: {remedy}")
    free = shutil.disk_usage(place).free
    detail = f"{home}: writable, {free / 1e6:,.0f} MB free"
    is_filled = all(map(weights.find, _DEFAULTS)) and any(home.glob("openvino/*.blob"))
    if free < _ROOM_BYTES and not is_filled:
        needed = f"weights and compiled networks need {_ROOM_BYTES / 1e6:.0f} MB"
        return Finding("DEEPSEQ_HOME", False, f"{detail}, but {needed}: {remedy}")
    return Finding("DEEPSEQ_HOME", True, detail)


def _weights(name: str) -> Finding:
    label = f"weights {name}"
    path = weights.find(name)
    if path is None:
        searched = f"searched {' or '.join(str(place) for place in weights.places(name))}"
        if name not in _DEFAULTS:
            return Finding(label, True, f"not downloaded; {searched}")
        remedy = f"run `deepseq weights fetch {name}`, or use {weights.lookup(name).instead}"
        return Finding(label, False, f"missing, but used by default: {remedy}; {searched}")
    try:
        weights.check(name, path)
    except WeightsError as error:
        return Finding(label, False, str(error))
    return Finding(label, True, f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
