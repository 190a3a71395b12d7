"""From settings to files on this machine, and to the fingerprint of what they will make."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deepfake_seq import weights
from deepfake_seq.config import IMAGENET, ExtractConfig
from deepfake_seq.errors import UsageError
from deepfake_seq.extract.backbones import BACKBONE_TABLE, UNTRAINED_ID
from deepfake_seq.published import WEIGHTS
from deepfake_seq.store import Fingerprint

_PIPELINE_VERSION = 2
"""Raise it when a change of our own code changes the numbers."""


@dataclass(frozen=True)
class ResolvedConfig:
    """Settings whose weights have been found.

    Attributes:
        config: The settings.
        detector_weights: The detector's file; None where it needs none or brings its own.
        backbone_weights: The CNN's file; None for untrained.
        fingerprint: Of the features that these settings make.
    """

    config: ExtractConfig
    detector_weights: Path | None
    backbone_weights: Path | None
    fingerprint: Fingerprint


def resolve(config: ExtractConfig) -> ResolvedConfig:
    """Find, or download, the weights that the settings ask for.

    Raises:
        UsageError: A weights file that was named is not there.
        WeightsError: Published weights are missing or damaged; one message names them all.
    """
    wanted = {}
    if config.faces.detector in WEIGHTS and config.faces.detector_weights is None:
        wanted["detector"] = config.faces.detector
    if config.backbone.weights == IMAGENET:
        wanted["backbone"] = config.backbone.name
    found = dict(zip(wanted, weights.require(list(wanted.values())), strict=True))

    detector = found.get("detector") or _given(config.faces.detector_weights, "--detector-weights")
    backbone = found.get("backbone")
    if config.backbone.uses_file:
        backbone = _given(config.backbone.weights, "--weights")
    fingerprint = _fingerprint(config, detector, backbone)
    for section, path in (("faces", detector), ("backbone", backbone)):
        if path is not None and path not in found.values():
            weights.remember_given(path, fingerprint.fields[section]["weights_sha256"])
    return ResolvedConfig(config, detector, backbone, fingerprint)


def _given(path: str | None, option: str) -> Path | None:
    if path is None:
        return None
    if not Path(path).is_file():
        raise UsageError(f"no such weights file, given by {option}: {path}")
    return Path(path)


def _fingerprint(
    config: ExtractConfig, detector: Path | None, backbone: Path | None
) -> Fingerprint:
    faces = config.faces
    fields: dict[str, Any] = {
        "sampling": {"strategy": config.sampling.strategy, "frames": config.sampling.frames},
        "faces": {
            "detector": faces.detector,
            "weights_sha256": _detector_digest(faces.detector, detector),
            "short_side": faces.short_side,
            "margin": faces.margin,
            "people": faces.people,
            "crop_size": BACKBONE_TABLE[config.backbone.name].crop_size,
        },
        "backbone": {
            "name": config.backbone.name,
            "weights_sha256": weights.digest_of(backbone) if backbone else UNTRAINED_ID,
            "precision": config.backbone.precision,
        },
        "cache": {"dtype": "float16"},
        "versions": {
            "pipeline": _PIPELINE_VERSION,
            "av": _major("av"),
            "opencv": _major("opencv-contrib-python-headless"),
        },
    }
    if faces.detector == "mtcnn":
        fields["versions"]["mtcnn"] = version("mtcnn")
    if faces.detector == "retinaface":
        fields["versions"]["retina-face"] = version("retina-face")
        if config.backbone.precision != "float32":
            fields["faces"]["precision"] = config.backbone.precision
    return Fingerprint(fields)


def _detector_digest(name: str, path: Path | None) -> str:
    if path is not None:
        return weights.digest_of(path)
    if name != "mtcnn":
        return "none"
    # Found without importing the package, which would import TensorFlow.
    package = find_spec("mtcnn")
    folders = package.submodule_search_locations if package else None
    files = sorted(Path((folders or [""])[0], "assets", "weights").glob("*.lz4"))
    digests = "".join(weights.digest_of(file) for file in files)
    return hashlib.sha256(digests.encode()).hexdigest()


def _major(distribution: str) -> str:
    return version(distribution).split(".", maxsplit=1)[0]
