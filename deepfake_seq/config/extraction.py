"""Settings of stage 1 that change the features."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

from deepfake_seq.config.checks import check, check_choice, check_keys
from deepfake_seq.config.setting import check_settings, setting
from deepfake_seq.errors import UsageError

DETECTORS = ("retinaface", "retinaface-mobile", "mtcnn", "yunet", "none")
RETINAFACES = DETECTORS[:2]
BACKBONES = ("inception_v3", "vgg16", "resnet50", "efficientnet_b1")
EVIDENCE = ("features", "depths", "regions", "residual", "ela")
STANDARD_EVIDENCE = EVIDENCE[:-1]
SAMPLERS = ("uniform", "consecutive", "keyframes")
PEOPLE = ("largest", "all")
FACE_FORMATS = ("webp", "png", "jpeg")
LOSSLESS = ("webp", "png")
WINDOWS, EVERY_FRAME = "windows", "every-frame"
DETECTIONS = (WINDOWS, EVERY_FRAME)
INT8 = "int8"
FLOATS = ("float32", "bfloat16", "float16")
PRECISIONS = (*FLOATS, INT8)

IMAGENET = "imagenet"
UNTRAINED = "untrained"

SHARD_RECORDS = 256
"""Number of records in a sealed shard of a feature store: 17 MB of 16×2048 features."""


def read_weights(weights: str) -> str:
    """Return the value of `BackboneConfig.weights` for --weights: a file as an absolute path."""
    return weights if weights in (IMAGENET, UNTRAINED) else str(Path(weights).absolute())


def read_evidence(text: str) -> tuple[str, ...]:
    """Return the evidence blocks that a text such as `features,depths` lists."""
    return tuple(name.strip() for name in text.split(",")) if text else ()


@dataclass(frozen=True)
class SamplingConfig:
    """Which frames of a video are used."""

    strategy: str = setting(
        "uniform",
        "Frames to sample: uniform takes the centres of equal time spans, consecutive takes "
        "adjacent frames from the middle, keyframes takes key frames only (fastest to decode).",
        choices=SAMPLERS,
        option="--sampling",
    )
    frames: int = setting(16, "Number of frames to sample per video.", low=1, high=256)

    def __post_init__(self) -> None:
        check(isinstance(self.frames, int), "frames must be a whole number", self.frames)
        check_settings(self)


@dataclass(frozen=True)
class FaceConfig:
    """How faces are detected and cropped. Boxes are always in pixels of the full frame."""

    detector: str = setting(
        "retinaface",
        "Face detector; none uses the whole frame.",
        choices=DETECTORS,
    )
    detector_weights: str | None = setting(
        None,
        "Weights file for retinaface, retinaface-mobile or yunet, in place of the published one.",
        kind=Path,
        read=lambda path: str(path.absolute()),
    )
    short_side: int = setting(
        360,
        "Short side to which larger frames are reduced before detection.",
        low=64,
        high=2160,
        unit="pixels",
    )
    margin: float = setting(
        0.3, "Margin around the detected face, as a fraction of its size.", low=0, high=2
    )
    people: str = setting(
        "largest",
        "People to extract: the main person of a video, or all, each as a separate record "
        "(VIDEO#0, VIDEO#1, …).",
        choices=PEOPLE,
        option="--faces",
    )
    image_format: str = setting(
        FACE_FORMATS[0],
        "Image format of kept crops: webp and png are lossless; jpeg (quality 95) is lossy, and "
        "the features are then computed from the compressed crops.",
        choices=FACE_FORMATS,
        option="--face-format",
    )

    detect: str | None = setting(
        None,
        "Part of the frames to search: windows searches every fourth frame whole, at two thirds of "
        "--short-side, and the others only around the faces found there; every-frame searches all "
        "frames whole.",
        choices=DETECTIONS,
        default_text="windows for retinaface and retinaface-mobile, every-frame for others",
    )
    precision: str | None = setting(
        None,
        "Precision of the detectors retinaface and retinaface-mobile. int8 is for CPUs.",
        choices=PRECISIONS,
        option="--detector-precision",
        default_text="the value of --precision",
    )

    def __post_init__(self) -> None:
        if self.detect is None:  # explicit, because stores and runs contain the value
            chosen = WINDOWS if self.detector in RETINAFACES else EVERY_FRAME
            object.__setattr__(self, "detect", chosen)
        check_settings(self)
        check(
            self.detector != "none" or not self.uses_windows,
            "detector none needs no search, so --detect must be every-frame",
            self.detect,
        )
        check(
            self.precision is None or self.detector in RETINAFACES,
            f"detector {self.detector} always computes in float32 and takes no precision",
            self.precision,
        )
        weights = self.detector_weights
        check(weights is None or type(weights) is str, "detector weights must be a path", weights)
        check(
            weights is None or self.detector in (*RETINAFACES, "yunet"),
            f"detector {self.detector} does not take a weights file",
            weights,
        )

    @property
    def uses_windows(self) -> bool:
        """Whether most frames are searched only around the faces found in others."""
        return self.detect == WINDOWS

    @property
    def is_lossy(self) -> bool:
        """Whether the file format of kept crops changes their pixels."""
        return self.image_format not in LOSSLESS


@dataclass(frozen=True)
class BackboneConfig:
    """The frozen CNN."""

    name: str = setting(
        "inception_v3", "CNN that computes the features.", choices=BACKBONES, option="--backbone"
    )
    weights: str = setting(
        IMAGENET,
        "Weights of the CNN: imagenet, untrained (random numbers, for trials only), a weights "
        "file, or a run of `deepseq finetune`.",
        metavar="imagenet|untrained|FILE|RUN",
        read=read_weights,
    )
    precision: str = setting(
        "float32",
        "Precision of the CNN and, by default, of the detectors retinaface and retinaface-mobile. "
        "int8, whole numbers, is for CPUs.",
        choices=PRECISIONS,
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def uses_file(self) -> bool:
        """Whether `weights` is the path of a file."""
        return self.weights not in (IMAGENET, UNTRAINED)


@dataclass(frozen=True)
class EvidenceConfig:
    """The evidence blocks to store. They do not change `features`; each has settings of its own."""

    blocks: tuple[str, ...] = setting(
        STANDARD_EVIDENCE,
        "Evidence blocks to store, separated by commas: features (the pooled CNN output, always "
        "stored), depths, regions, residual and ela.",
        metavar="NAME,NAME,...",
        option="--evidence",
        kind=str,
        read=read_evidence,
        write=",".join,
    )

    def __post_init__(self) -> None:
        for name in self.blocks:
            check_choice("--evidence", name, EVIDENCE)

    @property
    def beside_features(self) -> tuple[str, ...]:
        """The blocks without `features`, in the order of `EVIDENCE`."""
        return tuple(name for name in EVIDENCE[1:] if name in self.blocks)


@dataclass(frozen=True)
class ExtractConfig:
    """All settings of stage 1 that change the features."""

    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    faces: FaceConfig = field(default_factory=FaceConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)

    def __post_init__(self) -> None:
        # Explicit, because another CNN may use the same faces.
        if self.faces.precision is None and self.faces.detector in RETINAFACES:
            faces = replace(self.faces, precision=self.backbone.precision)
            object.__setattr__(self, "faces", faces)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        return asdict(self)

    def without_folders(self) -> ExtractConfig:
        """Return the settings with the paths of weights files reduced to file names."""
        detector = self.faces.detector_weights
        return replace(
            self,
            faces=replace(self.faces, detector_weights=detector and PurePath(detector).name),
            backbone=replace(self.backbone, weights=PurePath(self.backbone.weights).name),
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ExtractConfig:
        """Return the settings that `to_dict` wrote.

        Raises:
            UsageError: A value is out of range, or a key is unknown or missing.
        """
        sections = {"sampling": SamplingConfig, "faces": FaceConfig, "backbone": BackboneConfig}
        try:
            check_keys(cls, values)
            # Older stores and runs were written before these were settings.
            older = {"image_format": FACE_FORMATS[0], "detect": EVERY_FRAME, "precision": None}
            faces = {**older, **values["faces"]}
            values = {**values, "faces": faces}
            for name, kind in sections.items():
                check_keys(kind, values[name])
            return cls(**{name: kind(**values[name]) for name, kind in sections.items()})
        except (KeyError, TypeError) as error:
            raise UsageError(f"not extraction settings: {error}. Received: {values!r}") from error
