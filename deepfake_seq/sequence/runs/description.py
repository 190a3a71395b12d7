"""The types that `model.json` and `metrics.json` of a run are decoded into."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from deepfake_seq.config import (
    DecisionConfig,
    ExtractConfig,
    ModelConfig,
    SplitConfig,
    TrainConfig,
)
from deepfake_seq.sequence.evaluation.calibration import PlattScaling
from deepfake_seq.sequence.evaluation.threshold import ClassCounts, Decision
from deepfake_seq.store import Fingerprint

Count = Annotated[int, Meta(ge=0)]


@dataclass(frozen=True)
class SavedModel(ModelConfig):
    """Settings of a saved model. A setting that an older run lacks was off when it was trained."""

    wide: bool = False


@dataclass(frozen=True)
class SavedTraining(TrainConfig):
    """Settings of a saved training; see `SavedModel`."""

    input_dropout: float = 0.0
    input_noise: float = 0.0
    wide_l2: float = 0.0
    min_epochs: int = 1
    pseudo_fakes: bool = True


class Recipe(Struct, frozen=True):
    """The settings that a run was trained with; further keys are ignored."""

    model: SavedModel
    train: SavedTraining
    split: SplitConfig
    decision: DecisionConfig


class InputShape(Struct, frozen=True):
    """The shape (T, D) of the features that a model takes.

    Attributes:
        blocks: Width of each evidence block in the features, in their order; older runs have none.
    """

    frames: Annotated[int, Meta(ge=1, le=256)]
    width: Annotated[int, Meta(ge=1, le=65_536)]
    blocks: dict[str, Annotated[int, Meta(ge=1)]] = {}

    def __post_init__(self) -> None:
        if self.blocks and sum(self.blocks.values()) != self.width:
            raise ValueError("the widths of the evidence blocks do not add up to the width")


class Parameters(Struct, frozen=True):
    """Numbers of all parameters and of trainable parameters of one network."""

    total: Count
    trainable: Count


class Training(Struct, frozen=True):
    """The epoch of each network whose weights were kept, and the clips that it did not see.

    Attributes:
        best_epochs: Epoch of each network.
        held_out: Number of validation clips of each network. The validation clips in
            `predictions.csv` are those of the first network, then those of the second …; empty in
            runs of earlier versions.
    """

    best_epochs: tuple[Count, ...] = ()
    held_out: tuple[Count, ...] = ()


class RunDescription(Struct, frozen=True, kw_only=True):
    """The content of `model.json`; further keys are ignored. `SequenceModel` explains the rest.

    Attributes:
        members: Number of networks that the model averages.
        extract_config: Extraction settings of the features, as plain values; see `extraction`.
        created: Time when the run was created, in ISO 8601.
        parameters: Number of parameters of one network.
        split: Number of clips in each split.
        warnings: Warnings about limits of the metrics, for users to read.
        training: Best epoch of each network.
        evidence: Settings of the evidence blocks that the model takes; older runs have none.
    """

    format: Literal["deepseq-run"]
    format_version: Literal[2]
    model: SavedModel
    members: Annotated[int, Meta(ge=1, le=100)]
    input: InputShape
    calibration: PlattScaling
    decision: Decision
    data: str
    extract_config: dict[str, Any]
    fingerprint: dict[str, Any]
    fingerprint_id: str
    created: str
    parameters: Parameters
    split: dict[str, Count]
    warnings: tuple[str, ...]
    training: Training = Training()
    evidence: dict[str, dict[str, Any]] = {}
    title: Annotated[str, Meta(min_length=1, max_length=80)] = ""

    def __post_init__(self) -> None:
        if not self.title.isprintable():
            raise ValueError("the title must be printable text on one line")
        if not self.title:
            force_setattr(self, "title", self.model.title)
        if self.extraction != self.extraction.without_folders():
            raise ValueError("extract_config contains the path of a weights file, not its name")
        if Fingerprint(self.fingerprint).id != self.fingerprint_id:
            raise ValueError("the fingerprint does not match its id")

    @property
    def config(self) -> ModelConfig:
        """Settings of the model."""
        return ModelConfig(
            **{field.name: getattr(self.model, field.name) for field in fields(ModelConfig)}
        )

    @property
    def extraction(self) -> ExtractConfig:
        """Extraction settings of the features; weights files are named without their folders."""
        return ExtractConfig.from_dict(self.extract_config)


class Abstentions(Struct, frozen=True):
    """The fraction of inconclusive clips; further keys are ignored."""

    share: float


class Intervals(Struct, frozen=True):
    """The 95 % confidence intervals that reports show; None if the clips do not support one."""

    auc: tuple[float, float] | None
    balanced_accuracy: tuple[float, float] | None
    macro_f1: tuple[float, float] | None


class SplitMetrics(Struct, frozen=True):
    """The metrics of one model on one split; None if the clips do not support a metric."""

    clips: ClassCounts
    doubt: Abstentions
    intervals: Intervals
    auc: float | None
    tpr_at_1_fpr: float | None
    balanced_accuracy: float | None
    macro_f1: float | None
    ece: float | None


class RunMetrics(Struct, frozen=True):
    """The content of `metrics.json` that reports show; further keys are ignored."""

    validation: SplitMetrics | None
    test: SplitMetrics | None
    baselines: dict[str, dict[str, SplitMetrics | None]]
    unseen: SplitMetrics | None = None
