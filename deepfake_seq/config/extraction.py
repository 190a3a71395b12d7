"""Settings of stage 1 that change the numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePath
from typing import Any

from deepfake_seq.config.checks import check, check_choice, check_keys
from deepfake_seq.errors import UsageError

DETECTORS = ("retinaface", "mtcnn", "yunet", "none")
BACKBONES = ("inception_v3", "vgg16", "resnet50", "efficientnet_b1")
SAMPLERS = ("uniform", "consecutive", "keyframes")
PEOPLE = ("largest", "all")
FACE_FORMATS = ("webp", "png", "jpeg")
LOSSLESS = ("webp", "png")
PRECISIONS = ("float32", "bfloat16", "float16")

IMAGENET = "imagenet"
UNTRAINED = "untrained"

SHARD_RECORDS = 256
"""How many records a sealed shard of a feature store holds: 17 MB of 16×2048."""


@dataclass(frozen=True)
class SamplingConfig:
    """Which frames of a video are looked at.

    Attributes:
        strategy: `uniform` takes the frames shown at the centres of equal spans of time;
            `consecutive` takes frames that follow each other in the middle of the video;
            `keyframes` is `uniform` among the key frames alone, the cheapest to decode.
        frames: How many frames are sampled: the T of the (T, D) tensor.
    """

    strategy: str = "uniform"
    frames: int = 16

    def __post_init__(self) -> None:
        check_choice("sampling", self.strategy, SAMPLERS)
        whole = isinstance(self.frames, int) and 1 <= self.frames <= 256
        check(whole, "frames must be a whole number from 1 to 256", self.frames)


@dataclass(frozen=True)
class FaceConfig:
    """How the face is found and cut out.

    Attributes:
        detector: The face detector's name; `none` takes the whole frame.
        detector_weights: A weights file to use in place of the detector's usual one.
        short_side: Frames are shrunk to this short side, in pixels, before detection (never
            enlarged). Boxes are always in pixels of the full frame.
        margin: How much larger than the face the square crop is; 0.3 means 30 %.
        people: `largest` keeps the person whom the video is about, `all` makes a record of each.
        image_format: Of cached crops. `webp` and `png` lose nothing; `jpeg` (of quality 95, in full
            colour resolution) does, and what the CNN is shown has gone through it.
    """

    detector: str = "retinaface"
    detector_weights: str | None = None
    short_side: int = 360
    margin: float = 0.3
    people: str = "largest"
    image_format: str = FACE_FORMATS[0]

    def __post_init__(self) -> None:
        check_choice("detector", self.detector, DETECTORS)
        check_choice("faces", self.people, PEOPLE)
        check_choice("face format", self.image_format, FACE_FORMATS)
        check(64 <= self.short_side <= 2160, "short side must be 64 to 2160", self.short_side)
        check(0.0 <= self.margin <= 2.0, "margin must be from 0 to 2", self.margin)
        check(
            self.detector_weights is None or type(self.detector_weights) is str,
            "a detector's weights are a path",
            self.detector_weights,
        )
        check(
            self.detector_weights is None or self.detector in ("retinaface", "yunet"),
            f"detector {self.detector} takes no weights file",
            self.detector_weights,
        )

    @property
    def is_lossy(self) -> bool:
        """Whether the crops' file format changes them."""
        return self.image_format not in LOSSLESS


@dataclass(frozen=True)
class BackboneConfig:
    """The frozen CNN.

    Attributes:
        name: A key of `extract.backbones.BACKBONE_TABLE`.
        weights: `imagenet`, `untrained` (seeded noise, for trials only), or a weights file.
        precision: The arithmetic of the CNN, and of the detector `retinaface`.
    """

    name: str = "inception_v3"
    weights: str = IMAGENET
    precision: str = "float32"

    def __post_init__(self) -> None:
        check_choice("backbone", self.name, BACKBONES)
        check_choice("precision", self.precision, PRECISIONS)

    @property
    def uses_file(self) -> bool:
        """Whether `weights` is the path of a file."""
        return self.weights not in (IMAGENET, UNTRAINED)


@dataclass(frozen=True)
class ExtractConfig:
    """Everything of stage 1 that changes the numbers."""

    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    faces: FaceConfig = field(default_factory=FaceConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return asdict(self)

    def without_folders(self) -> ExtractConfig:
        """The settings with the mere names of weights files that were given by path."""
        detector = self.faces.detector_weights
        return replace(
            self,
            faces=replace(self.faces, detector_weights=detector and PurePath(detector).name),
            backbone=replace(self.backbone, weights=PurePath(self.backbone.weights).name),
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ExtractConfig:
        """The inverse of `to_dict`.

        Raises:
            UsageError: A value is out of range, or a key is unknown or missing.
        """
        sections = {
            "sampling": SamplingConfig,
            "faces": FaceConfig,
            "backbone": BackboneConfig,
        }
        try:
            check_keys(cls, values)
            # Stores and runs of before there was a choice do not say it.
            faces = {"image_format": FACE_FORMATS[0], **values["faces"]}
            values = {**values, "faces": faces}
            for name, kind in sections.items():
                check_keys(kind, values[name])
            return cls(**{name: kind(**values[name]) for name, kind in sections.items()})
        except (KeyError, TypeError) as error:
            raise UsageError(f"not extraction settings: {error}. Received: {values!r}") from error
