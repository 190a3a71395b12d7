"""Find the weights files that the settings need, and compute the fingerprints of the results."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deepfake_seq import weights
from deepfake_seq.config import (
    IMAGENET,
    INT8,
    RETINAFACES,
    BackboneConfig,
    ExtractConfig,
    FaceConfig,
    SamplingConfig,
)
from deepfake_seq.errors import StoreError, UsageError
from deepfake_seq.extract.backbones.ranges import Ranges, encode_ranges, find_ranges
from deepfake_seq.extract.backbones.table import Backbone, backbone_of, weights_id
from deepfake_seq.extract.options import NO_OPTIONS, ExtractOptions
from deepfake_seq.extract.records.views import require_faces
from deepfake_seq.published import WEIGHTS
from deepfake_seq.store import FaceStore, Fingerprint, StoreDescription

_PIPELINE_VERSION = 4
"""Must be increased when a change of this code changes the features."""


@dataclass(frozen=True)
class ResolvedConfig:
    """The settings of extraction, with the paths of all weights files.

    Attributes:
        config: The settings.
        detector_weights: Path of the detector's weights; None if it needs no file or has its own.
        backbone_weights: Path of the CNN's weights; None for an untrained CNN.
        fingerprint: Fingerprint of the features.
        faces_fingerprint: Fingerprint of the crops.
        extract_options: Optional data to store in addition to the features.
        face_cache: Path of the face cache to read the crops from; None if videos are decoded.
        ranges: Ranges of the CNN for precision int8; None for the others.
        detector_ranges: Ranges of the detector for precision int8; None for the others.
    """

    config: ExtractConfig
    detector_weights: Path | None
    backbone_weights: Path | None
    fingerprint: Fingerprint
    faces_fingerprint: Fingerprint
    extract_options: ExtractOptions = NO_OPTIONS
    face_cache: Path | None = None
    ranges: Ranges | None = None
    detector_ranges: Ranges | None = None

    @cached_property
    def backbone(self) -> Backbone:
        """Input and output sizes of the CNN."""
        return backbone_of(self.config.backbone.name, self.backbone_weights)

    @property
    def description(self) -> StoreDescription:
        """Description of a store of these features."""
        values = self.config.without_folders().to_dict()
        ranges = _encoded(self.detector_ranges, self.ranges)
        return StoreDescription(self.fingerprint, values, ranges=ranges)

    @property
    def faces_description(self) -> StoreDescription:
        """Description of a face store with these settings."""
        values = self.config.without_folders().to_dict()
        del values["backbone"]
        ranges = _encoded(self.detector_ranges)
        return StoreDescription(self.faces_fingerprint, values, "faces", ranges)


def resolve(
    config: ExtractConfig,
    extract_options: ExtractOptions = NO_OPTIONS,
    ranges: bytes | None = None,
) -> ResolvedConfig:
    """Find or download the weights files that the settings need.

    Args:
        config: The settings.
        extract_options: Optional data to store in addition to the features.
        ranges: The ranges file of the store or run that the features are for, if it has one; see
            `calibration.ranges_for`.

    Raises:
        UsageError: A given weights file does not exist.
        EngineError: int8 ranges are needed, but neither given nor known, and cannot be found.
        WeightsError: Published weights are missing or damaged; the message lists all of them.
    """
    require_faces(config.faces.detector, extract_options.views)
    published = {}
    if config.faces.detector in WEIGHTS and config.faces.detector_weights is None:
        published["detector"] = config.faces.detector
    if config.backbone.weights == IMAGENET:
        published["backbone"] = config.backbone.name
    files = dict(zip(published, weights.require(list(published.values())), strict=True))

    detector = files.get("detector") or _given(config.faces.detector_weights, "--detector-weights")
    backbone = files.get("backbone")
    if config.backbone.uses_file:
        backbone = _given(config.backbone.weights, "--weights")
    detector_int8 = _detector_ranges(config.faces, detector, ranges)
    faces = _faces_fingerprint(config.sampling, config.faces, detector, detector_int8)
    int8 = _ranges(config.backbone, backbone, ranges)
    fingerprint = _fingerprint(faces, config.backbone, backbone, int8)
    for section, path in (("faces", detector), ("backbone", backbone)):
        if path is not None and path not in files.values():
            weights.remember_given(path, fingerprint.fields[section]["weights_sha256"])
    return ResolvedConfig(
        config,
        detector,
        backbone,
        fingerprint,
        faces,
        extract_options,
        ranges=int8,
        detector_ranges=detector_int8,
    )


def resolve_cached(
    store: FaceStore,
    backbone: BackboneConfig,
    extract_options: ExtractOptions = NO_OPTIONS,
    ranges: bytes | None = None,
) -> ResolvedConfig:
    """Resolve the settings for features of cached faces, equal to those from the videos.

    Args:
        store: The face cache.
        backbone: The CNN.
        extract_options: Optional data to store in addition to the features.
        ranges: See `resolve`.

    Raises:
        EngineError: See `resolve`.
        StoreError: The settings of the face cache, or its int8 ranges, are missing or damaged.
        UsageError: A given weights file does not exist.
        WeightsError: Published weights are missing or damaged.
    """
    try:
        config = ExtractConfig.from_dict({**store.extract_config, "backbone": asdict(backbone)})
        faces = dict(store.fingerprint.fields["faces"])
        if config.faces.detector in RETINAFACES:  # older caches lack it among the settings
            precision = faces.get("precision", "float32")
            config = replace(config, faces=replace(config.faces, precision=precision))
    except (UsageError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{store.path} lacks valid extraction settings: {error}") from error
    require_faces(config.faces.detector, extract_options.views)
    file = weights.require([backbone.name])[0] if backbone.weights == IMAGENET else None
    if backbone.uses_file:
        file = _given(backbone.weights, "--weights")
    int8 = _ranges(backbone, file, ranges)
    fingerprint = _fingerprint(store.fingerprint, backbone, file, int8)
    if backbone.uses_file and file is not None:
        weights.remember_given(file, fingerprint.fields["backbone"]["weights_sha256"])
    detector_int8 = find_ranges(
        store.description.ranges,
        f"the file of int8 ranges in {store.path}",
        config.faces.detector,
        str(faces.get("weights_sha256")),
    )
    return ResolvedConfig(
        config,
        None,
        file,
        fingerprint,
        store.fingerprint,
        extract_options,
        store.path.absolute(),
        int8,
        detector_int8,
    )


def _given(path: str | None, option: str) -> Path | None:
    if path is None:
        return None
    if not Path(path).is_file():
        raise UsageError(f"{option}: no such weights file. Received: {path}")
    return Path(path)


def _faces_fingerprint(
    sampling: SamplingConfig, faces: FaceConfig, detector: Path | None, ranges: Ranges | None
) -> Fingerprint:
    """Return the fingerprint of the crops; it does not depend on which lossless format is used."""
    fields: dict[str, Any] = {
        "sampling": {"strategy": sampling.strategy, "frames": sampling.frames},
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
    if faces.uses_windows:
        fields["faces"]["detect"] = faces.detect
    if faces.is_lossy:
        fields["faces"]["image_format"] = faces.image_format
    if faces.detector == "mtcnn":
        fields["versions"]["mtcnn"] = version("mtcnn")
    if faces.detector == "retinaface":
        fields["versions"]["retina-face"] = version("retina-face")
    if faces.precision not in (None, "float32"):
        fields["faces"]["precision"] = faces.precision
    if ranges:
        fields["faces"]["ranges_sha256"] = ranges.sha256
    return Fingerprint(fields)


def _fingerprint(
    faces: Fingerprint, config: BackboneConfig, weights_file: Path | None, ranges: Ranges | None
) -> Fingerprint:
    """Return the fingerprint of the features of crops with the fingerprint `faces`."""
    crop_size = backbone_of(config.name, weights_file).crop_size
    return Fingerprint(
        {
            **faces.fields,
            "faces": {**faces.fields["faces"], "crop_size": crop_size},
            "backbone": {
                "name": config.name,
                "weights_sha256": weights_id(weights_file),
                "precision": config.precision,
                **({"ranges_sha256": ranges.sha256} if ranges else {}),
            },
            "cache": {"dtype": "float16"},
        }
    )


def _ranges(
    config: BackboneConfig, weights_file: Path | None, given: bytes | None
) -> Ranges | None:
    if config.precision != INT8:
        return None
    from deepfake_seq.extract.calibration import ranges_for

    return ranges_for(config, weights_file, given)


def _detector_ranges(
    config: FaceConfig, weights_file: Path | None, given: bytes | None
) -> Ranges | None:
    if config.precision != INT8:
        return None
    assert weights_file is not None
    from deepfake_seq.extract.calibration import detector_ranges_for

    return detector_ranges_for(config.detector, weights_file, given)


def _encoded(*ranges: Ranges | None) -> bytes | None:
    """Return the ranges file of the networks that have ranges; None if none has."""
    networks = [each for each in ranges if each is not None]
    return encode_ranges(networks) if networks else None


def _detector_digest(name: str, path: Path | None) -> str:
    if path is not None:
        return weights.digest_of(path)
    if name != "mtcnn":
        return "none"
    # `find_spec` does not import the package, which would import TensorFlow.
    package = find_spec("mtcnn")
    folders = package.submodule_search_locations if package else None
    files = sorted(Path((folders or [""])[0], "assets", "weights").glob("*.lz4"))
    digests = "".join(weights.digest_of(file) for file in files)
    return hashlib.sha256(digests.encode()).hexdigest()


def _major(distribution: str) -> str:
    return version(distribution).split(".", maxsplit=1)[0]
