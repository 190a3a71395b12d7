"""The types that `model.json` and `metrics.json` of a run are decoded into."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from deepfake_seq.config import ExtractConfig, ModelConfig
from deepfake_seq.sequence.evaluation.calibration import PlattScaling
from deepfake_seq.sequence.evaluation.threshold import ClassCounts, Decision
from deepfake_seq.store import Fingerprint

Count = Annotated[int, Meta(ge=0)]


class InputShape(Struct, frozen=True):
    """The shape (T, D) of the features that a model takes."""

    frames: Annotated[int, Meta(ge=1, le=256)]
    width: Annotated[int, Meta(ge=1, le=65_536)]


class Parameters(Struct, frozen=True):
    """The number of parameters of one network, and of those that were trained."""

    total: Count
    trainable: Count


class Training(Struct, frozen=True):
    """The epoch of each network whose weights were kept."""

    best_epochs: tuple[Count, ...] = ()


class RunDescription(Struct, frozen=True, kw_only=True):
    """The content of `model.json`; further keys are ignored. `SequenceModel` explains the rest.

    Attributes:
        members: The number of networks that the model averages.
        extract_config: The settings that the features were made with; see `extraction`.
        created: The time when the run was made.
        parameters: The size of one network.
        split: The number of clips in each split.
        warnings: Limits of the metrics that readers must know.
    """

    format: Literal["deepseq-run"]
    format_version: Literal[2]
    model: ModelConfig
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
    title: Annotated[str, Meta(min_length=1, max_length=80)] = ""

    def __post_init__(self) -> None:
        if not self.title.isprintable():
            raise ValueError("the title must be printable text on one line")
        if not self.title:
            force_setattr(self, "title", self.model.title)
        if self.extraction != self.extraction.without_folders():
            raise ValueError("extract_config names a path instead of the name of a weights file")
        if Fingerprint(self.fingerprint).id != self.fingerprint_id:
            raise ValueError("the fingerprint does not match its id")

    @property
    def extraction(self) -> ExtractConfig:
        """The settings that the features were made with, without folders of weights files."""
        return ExtractConfig.from_dict(self.extract_config)


class Abstentions(Struct, frozen=True):
    """The clips that get no verdict: their fraction, and more that is not shown."""

    share: float


class Intervals(Struct, frozen=True):
    """The 95 % confidence intervals that are shown; None if the clips do not determine one."""

    auc: tuple[float, float] | None
    balanced_accuracy: tuple[float, float] | None
    macro_f1: tuple[float, float] | None


class SplitMetrics(Struct, frozen=True):
    """The metrics of one model on one split; None if the clips do not determine one."""

    clips: ClassCounts
    doubt: Abstentions
    intervals: Intervals
    auc: float | None
    tpr_at_1_fpr: float | None
    balanced_accuracy: float | None
    macro_f1: float | None
    ece: float | None


class RunMetrics(Struct, frozen=True):
    """The content of `metrics.json` that is shown; further keys are ignored."""

    validation: SplitMetrics | None
    test: SplitMetrics | None
    baselines: dict[str, dict[str, SplitMetrics | None]]
    unseen: SplitMetrics | None = None
