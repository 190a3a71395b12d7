"""From settings to files on this machine, and to the fingerprint of what they will make."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deepfake_seq import weights
from deepfake_seq.config import IMAGENET, BackboneConfig, ExtractConfig
from deepfake_seq.errors import StoreError, UsageError
from deepfake_seq.extract.backbones.table import UNTRAINED_ID, Backbone, backbone_of
from deepfake_seq.extract.options import NO_OPTIONS, ExtractOptions
from deepfake_seq.extract.records.views import require_faces
from deepfake_seq.published import WEIGHTS
from deepfake_seq.store import FaceStore, Fingerprint, StoreDescription

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
        faces_fingerprint: Of the crops that they are made from.
        extract_options: What is kept and made beside the features.
        face_cache: The store of faces that the crops are taken from; None where videos are decoded.
    """

    config: ExtractConfig
    detector_weights: Path | None
    backbone_weights: Path | None
    fingerprint: Fingerprint
    faces_fingerprint: Fingerprint
    extract_options: ExtractOptions = NO_OPTIONS
    face_cache: Path | None = None

    @cached_property
    def backbone(self) -> Backbone:
        """What the CNN takes and gives."""
        return backbone_of(self.config.backbone.name, self.backbone_weights)

    @property
    def description(self) -> StoreDescription:
        """Of a store of these features."""
        return StoreDescription(self.fingerprint, self.config.without_folders().to_dict())

    @property
    def faces_description(self) -> StoreDescription:
        """Of a store of these faces."""
        values = self.config.without_folders().to_dict()
        del values["backbone"]
        return StoreDescription(self.faces_fingerprint, values, kind="faces")


def resolve(config: ExtractConfig, extract_options: ExtractOptions = NO_OPTIONS) -> ResolvedConfig:
    """Find, or download, the weights that the settings ask for.

    Args:
        config: The settings.
        extract_options: What is to be kept and made beside the features.

    Raises:
        UsageError: A weights file that was named is not there.
        WeightsError: Published weights are missing or damaged; one message names them all.
    """
    require_faces(config.faces.detector, extract_options.views)
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
    faces = _faces_fingerprint(config, detector)
    fingerprint = _fingerprint(faces, config.backbone, backbone)
    for section, path in (("faces", detector), ("backbone", backbone)):
        if path is not None and path not in found.values():
            weights.remember_given(path, fingerprint.fields[section]["weights_sha256"])
    return ResolvedConfig(config, detector, backbone, fingerprint, faces, extract_options)


def resolve_cached(
    store: FaceStore, backbone: BackboneConfig, extract_options: ExtractOptions = NO_OPTIONS
) -> ResolvedConfig:
    """The settings for features of cached faces: the same as of the videos that they are from.

    Args:
        store: The faces.
        backbone: The CNN.
        extract_options: What is to be made beside the features.

    Raises:
        StoreError: The store does not say how its faces were found.
        UsageError: A weights file that was named is not there, or the precision is another one.
        WeightsError: Published weights are missing or damaged.
    """
    try:
        config = ExtractConfig.from_dict({**store.extract_config, "backbone": asdict(backbone)})
        found_by = dict(store.fingerprint.fields["faces"])
    except (UsageError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{store.path} does not say how its faces were found: {error}") from error
    precision = found_by.get("precision", "float32")
    if config.faces.detector == "retinaface" and precision != backbone.precision:
        raise UsageError(
            f"the faces in {store.path} were found in {precision}, and a CNN of another precision "
            f"could not be fed from videos alike. Received: --precision {backbone.precision}"
        )
    require_faces(config.faces.detector, extract_options.views)
    file = weights.require([backbone.name])[0] if backbone.weights == IMAGENET else None
    if backbone.uses_file:
        file = _given(backbone.weights, "--weights")
    fingerprint = _fingerprint(store.fingerprint, backbone, file)
    if backbone.uses_file and file is not None:
        weights.remember_given(file, fingerprint.fields["backbone"]["weights_sha256"])
    cached = store.path.absolute()
    return ResolvedConfig(
        config, None, file, fingerprint, store.fingerprint, extract_options, cached
    )


def _given(path: str | None, option: str) -> Path | None:
    if path is None:
        return None
    if not Path(path).is_file():
        raise UsageError(f"no such weights file, given by {option}: {path}")
    return Path(path)


def _faces_fingerprint(config: ExtractConfig, detector: Path | None) -> Fingerprint:
    """Of the crops: what they depend on, but not which of the lossless formats holds them."""
    faces = config.faces
    fields: dict[str, Any] = {
        "sampling": {"strategy": config.sampling.strategy, "frames": config.sampling.frames},
        "faces": {
            "detector": faces.detector,
            "weights_sha256": _detector_digest(faces.detector, detector),
            "short_side": faces.short_side,
            "margin": faces.margin,
            "people": faces.people,
        },
        "versions": {
            "pipeline": _PIPELINE_VERSION,
            "av": _major("av"),
            "opencv": _major("opencv-contrib-python-headless"),
        },
    }
    if faces.is_lossy:
        fields["faces"]["image_format"] = faces.image_format
    if faces.detector == "mtcnn":
        fields["versions"]["mtcnn"] = version("mtcnn")
    if faces.detector == "retinaface":
        fields["versions"]["retina-face"] = version("retina-face")
        if config.backbone.precision != "float32":
            fields["faces"]["precision"] = config.backbone.precision
    return Fingerprint(fields)


def _fingerprint(
    faces: Fingerprint, config: BackboneConfig, weights_file: Path | None
) -> Fingerprint:
    """Of the features of crops with that fingerprint."""
    crop_size = backbone_of(config.name, weights_file).crop_size
    return Fingerprint(
        {
            **faces.fields,
            "faces": {**faces.fields["faces"], "crop_size": crop_size},
            "backbone": {
                "name": config.name,
                "weights_sha256": weights.digest_of(weights_file) if weights_file else UNTRAINED_ID,
                "precision": config.precision,
            },
            "cache": {"dtype": "float16"},
        }
    )


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
