"""Every setting, its default and its range, in one place.

The classes are frozen and check themselves: a value out of range raises `UsageError` when the
object is made. `ExtractConfig` travels with every trained model, so that `predict` treats a clip
exactly as the training clips were treated.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from deepfake_seq.errors import UsageError

DETECTORS = ("retinaface", "mtcnn", "yunet", "none")
BACKBONES = ("inception_v3", "vgg16", "resnet50", "efficientnet_b1")
SAMPLERS = ("uniform", "consecutive", "keyframes")
PEOPLE = ("largest", "all")
PRECISIONS = ("float32", "bfloat16", "float16")
RUNTIMES = ("openvino", "keras")
MODELS = ("gru",)

SHARD_RECORDS = 256
"""How many records a sealed shard of a feature store holds: 17 MB of 16×2048."""

IMAGENET = "imagenet"
UNTRAINED = "untrained"


def _check(condition: bool, rule: str, received: object) -> None:
    if not condition:
        raise UsageError(f"{rule}. Received: {received!r}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    _check(value in choices, f"{name} must be one of {', '.join(choices)}", value)


def _check_keys(kind: type[Any], values: dict[str, Any]) -> None:
    odd = set(values) ^ {own.name for own in fields(kind)}
    if odd:
        raise KeyError(f"unknown or missing: {', '.join(sorted(odd))}")


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
        _check_choice("sampling", self.strategy, SAMPLERS)
        whole = isinstance(self.frames, int) and 1 <= self.frames <= 256
        _check(whole, "frames must be a whole number from 1 to 256", self.frames)


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
    """

    detector: str = "retinaface"
    detector_weights: str | None = None
    short_side: int = 360
    margin: float = 0.3
    people: str = "largest"

    def __post_init__(self) -> None:
        _check_choice("detector", self.detector, DETECTORS)
        _check_choice("faces", self.people, PEOPLE)
        _check(64 <= self.short_side <= 2160, "short side must be 64 to 2160", self.short_side)
        _check(0.0 <= self.margin <= 2.0, "margin must be from 0 to 2", self.margin)
        _check(
            self.detector_weights is None or self.detector in ("retinaface", "yunet"),
            f"detector {self.detector} takes no weights file",
            self.detector_weights,
        )


@dataclass(frozen=True)
class BackboneConfig:
    """The frozen CNN.

    Attributes:
        name: A key of `extract.backbones.BACKBONE_TABLE`.
        weights: `imagenet`, `untrained` (seeded noise, for trials only), or a weights file.
        precision: The arithmetic of the CNN.
    """

    name: str = "inception_v3"
    weights: str = IMAGENET
    precision: str = "float32"

    def __post_init__(self) -> None:
        _check_choice("backbone", self.name, BACKBONES)
        _check_choice("precision", self.precision, PRECISIONS)

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
            _check_keys(cls, values)
            for name, kind in sections.items():
                _check_keys(kind, values[name])
            return cls(**{name: kind(**values[name]) for name, kind in sections.items()})
        except (KeyError, TypeError) as error:
            raise UsageError(f"not extraction settings: {error}. Received: {values!r}") from error


@dataclass(frozen=True)
class LimitsConfig:
    """What one video may cost. Beyond it, the video fails and the run goes on.

    Attributes:
        seconds: Wall time for decoding it.
        memory_bytes: Address space of the process that decodes it.
        file_bytes: Size of the file.
        pixels: Pixels of one frame.
        frames: Frames that are looked at.
    """

    seconds: float = 60.0
    memory_bytes: int = 2 << 30
    file_bytes: int = 16 << 30
    pixels: int = 1 << 24
    frames: int = 500_000

    def __post_init__(self) -> None:
        _check(0.1 <= self.seconds <= 86_400, "timeout must be 0.1 to 86400 s", self.seconds)
        _check(self.memory_bytes >= 1 << 29, "memory must be 0.5 GiB or more", self.memory_bytes)
        for name in ("file_bytes", "pixels", "frames"):
            _check(getattr(self, name) >= 1, f"{name} must be 1 or more", getattr(self, name))


@dataclass(frozen=True)
class ExecutionConfig:
    """How stage 1 uses the machine; changes its speed and what it gives up on, not the numbers.

    Attributes:
        runtime: What runs the CNN: `openvino` (CPU) or `keras` (any Keras backend).
        workers: Decoding processes; 0 means one for each core, at most four.
        limits: What one video may cost.
    """

    runtime: str = "openvino"
    workers: int = 0
    limits: LimitsConfig = field(default_factory=LimitsConfig)

    def __post_init__(self) -> None:
        _check_choice("runtime", self.runtime, RUNTIMES)
        _check(0 <= self.workers <= 256, "workers must be from 0 to 256", self.workers)


@dataclass(frozen=True)
class ModelConfig:
    """The sequence model.

    Attributes:
        name: A key of `sequence.models.MODEL_TABLE`.
        bidirectional: Wrap every recurrent layer in `Bidirectional`.
        dropout: The rate of the dropout before the last layer.
    """

    name: str = "gru"
    bidirectional: bool = False
    dropout: float = 0.3

    def __post_init__(self) -> None:
        _check_choice("model", self.name, MODELS)
        _check(0.0 <= self.dropout < 1.0, "dropout must be at least 0 and below 1", self.dropout)

    @property
    def title(self) -> str:
        """The name that people read: `gru` or `bigru`."""
        return f"bi{self.name}" if self.bidirectional else self.name


@dataclass(frozen=True)
class TrainConfig:
    """How a sequence model is trained.

    Attributes:
        epochs: The most passes over the training clips.
        batch_size: Clips in a batch.
        learning_rate: Adam's step size.
        patience: Epochs without a better validation score before training stops.
        gamma: The focusing parameter of the focal loss; 0 is weighted cross-entropy.
        validation: The share of clips kept for early stopping, calibration and the threshold.
        test: The share of clips that is looked at once, at the end.
        seed: Of the split, the initial weights, the shuffling and the dropout.
    """

    epochs: int = 100
    batch_size: int = 32
    learning_rate: float = 1e-3
    patience: int = 15
    gamma: float = 2.0
    validation: float = 0.2
    test: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        _check(1 <= self.epochs <= 10_000, "epochs must be from 1 to 10000", self.epochs)
        _check(1 <= self.batch_size <= 65_536, "batch size must be 1 to 65536", self.batch_size)
        _check(0 < self.learning_rate <= 1, "learning rate must be in (0, 1]", self.learning_rate)
        _check(1 <= self.patience <= 10_000, "patience must be from 1 to 10000", self.patience)
        _check(0 <= self.gamma <= 10, "gamma must be from 0 to 10", self.gamma)
        _check(0 < self.validation < 1, "validation must be between 0 and 1", self.validation)
        _check(0 <= self.test < 1, "test must be at least 0 and below 1", self.test)
        _check(
            self.validation + self.test < 1,
            "validation and test must leave something to train on",
            self.validation + self.test,
        )
        _check(0 <= self.seed < 2**32, "seed must be from 0 to 4294967295", self.seed)


MIN_VALID_FRAMES = 8
"""Clips with fewer frames that show the face are not trained on, and get no verdict."""
