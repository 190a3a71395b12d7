"""Settings of stage 2."""

from __future__ import annotations

from dataclasses import dataclass

from deepfake_seq.config.checks import check, check_choice
from deepfake_seq.errors import UsageError

MODELS = ("gru", "lstm", "dense", "attention", "frame_attention", "logistic")
RECURRENT = ("gru", "lstm")
INPUTS = ("features", "delta", "both")
BALANCES = ("alpha", "weights", "batches")
THRESHOLDS = ("fpr", "balanced")
TRAINERS = ("numpy", "keras")
SPLITS = ("auto", "official", "group")
MAX_MEMBERS = 100

RECURRENT_UNITS = (64, 32, 16)
"""Of runs that do not say their units."""

_MAX_LAYERS, _MAX_UNITS = 4, 512
"""Five networks as large as these allow, on 2,048 features, fit into the weights file of a run."""


def read_units(text: str) -> tuple[int, ...]:
    """The units that `64,32,16` stands for.

    Raises:
        UsageError: It is something else.
    """
    try:
        return tuple(int(units) for units in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"units are whole numbers, one for each layer, such as 64,32,16. Received: {text!r}"
        ) from error


def write_units(units: tuple[int, ...]) -> str:
    """The inverse of `read_units`."""
    return ",".join(map(str, units))


def default_inputs(model: str) -> str:
    """What a model is shown where nobody says it: logistic regression sees no order by itself."""
    return "both" if model == "logistic" else "features"


@dataclass(frozen=True)
class ModelConfig:
    """The sequence model.

    Attributes:
        name: A key of `sequence.models.MODEL_TABLE`.
        bidirectional: Wrap every recurrent layer in `Bidirectional`.
        dropout: The rate of the dropout before the last layer.
        inputs: `features` shows the model what each frame's features are, `delta` how much they
            change from one frame to the next (|Δ|), `both` the two side by side.
        shuffle_frames: Show it the frames of each clip in random order: the control that tells
            whether their order is used at all.
        units: Of the recurrent layers, from the first to the last.
    """

    name: str = "gru"
    bidirectional: bool = False
    dropout: float = 0.3
    inputs: str = "features"
    shuffle_frames: bool = False
    units: tuple[int, ...] = RECURRENT_UNITS

    def __post_init__(self) -> None:
        check_choice("model", self.name, MODELS)
        check_choice("inputs", self.inputs, INPUTS)
        check(0.0 <= self.dropout < 1.0, "dropout must be at least 0 and below 1", self.dropout)
        for name in ("bidirectional", "shuffle_frames"):
            value = getattr(self, name)
            check(type(value) is bool, f"{name} is true or false", value)
        check(
            self.name in RECURRENT or not self.bidirectional,
            f"only {' and '.join(RECURRENT)} can be bidirectional",
            self.name,
        )
        check(
            self.name != "logistic" or not self.shuffle_frames,
            "logistic regression knows no frames to shuffle",
            self.name,
        )
        check(
            type(self.units) is tuple
            and 1 <= len(self.units) <= _MAX_LAYERS
            and all(type(units) is int and 1 <= units <= _MAX_UNITS for units in self.units),
            f"units are 1 to {_MAX_LAYERS} whole numbers from 1 to {_MAX_UNITS}",
            self.units,
        )
        check(
            self.name in RECURRENT or self.units == RECURRENT_UNITS,
            f"only {' and '.join(RECURRENT)} have units",
            self.name,
        )

    @property
    def title(self) -> str:
        """The name that people read, such as `gru`, `bigru` or `gru-shuffled`."""
        title = f"bi{self.name}" if self.bidirectional else self.name
        return f"{title}-shuffled" if self.shuffle_frames else title


@dataclass(frozen=True)
class SplitConfig:
    """Which clips a model is trained on, and which it is judged on.

    Attributes:
        strategy: `official` takes the parts that the data set assigns, `group` deals out the groups
            anew, `auto` is `official` where the data set assigns parts.
        validation: The share of clips kept for early stopping, calibration and the threshold.
        test: The share of clips that is looked at once, at the end.
        allow_shared: Whether an official split may have an identity in two parts.
        seed: Of the dealing.
    """

    strategy: str = "auto"
    validation: float = 0.2
    test: float = 0.2
    allow_shared: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("split", self.strategy, SPLITS)
        check(0 < self.validation < 1, "validation must be between 0 and 1", self.validation)
        check(0 <= self.test < 1, "test must be at least 0 and below 1", self.test)
        check(
            self.validation + self.test < 1,
            "validation and test must leave something to train on",
            self.validation + self.test,
        )
        check(0 <= self.seed < 2**32, "seed must be from 0 to 4294967295", self.seed)


@dataclass(frozen=True)
class TrainConfig:
    """How a sequence model is trained.

    Attributes:
        epochs: The most passes over the training clips.
        batch_size: Clips in a batch.
        learning_rate: Adam's step size.
        patience: Epochs without a better validation score before training stops.
        gamma: The focusing parameter of the focal loss; 0 is weighted cross-entropy.
        balance: What makes up for the classes' unequal numbers: `alpha` (of the focal loss),
            `weights` (of the classes), `batches` (as many clips of each class in every batch).
        members: How many networks the model averages; 0 means five where there are few clips, and
            else one. Each of several is trained with another share of the clips that are not for
            testing held out, so that all of these serve for validation.
        seed: Of the initial weights, the shuffling and the dropout.
        runtime: What computes: `numpy` on a CPU, or `keras` (TensorFlow, or JAX for GPUs).
    """

    epochs: int = 100
    batch_size: int = 32
    learning_rate: float = 1e-3
    patience: int = 15
    gamma: float = 2.0
    balance: tuple[str, ...] = ("alpha",)
    members: int = 0
    seed: int = 0
    runtime: str = "numpy"

    def __post_init__(self) -> None:
        check_choice("runtime", self.runtime, TRAINERS)
        check(1 <= self.epochs <= 10_000, "epochs must be from 1 to 10000", self.epochs)
        check(1 <= self.batch_size <= 65_536, "batch size must be 1 to 65536", self.batch_size)
        check(0 < self.learning_rate <= 1, "learning rate must be in (0, 1]", self.learning_rate)
        check(1 <= self.patience <= 10_000, "patience must be from 1 to 10000", self.patience)
        check(0 <= self.gamma <= 10, "gamma must be from 0 to 10", self.gamma)
        for way in self.balance:
            check_choice("balance", way, BALANCES)
        check(
            0 <= self.members <= MAX_MEMBERS,
            f"members must be from 1 to {MAX_MEMBERS}, or 0 for the default",
            self.members,
        )
        check(0 <= self.seed < 2**32, "seed must be from 0 to 4294967295", self.seed)


@dataclass(frozen=True)
class DecisionConfig:
    """How the threshold is chosen, on validation clips only.

    Attributes:
        threshold: `fpr` keeps the share of real clips that are called fake at `target_fpr` or
            below; `balanced` has the best balanced accuracy.
        target_fpr: That share, from 0 to 1.
    """

    threshold: str = "fpr"
    target_fpr: float = 0.05

    def __post_init__(self) -> None:
        check_choice("threshold", self.threshold, THRESHOLDS)
        check(
            0 < self.target_fpr < 0.5,
            "the target false-positive rate must be between 0 and 0.5",
            self.target_fpr,
        )


MIN_VALID_FRAMES = 8
"""Clips with fewer frames that show the face are not trained on, and get no verdict."""

TRAINING_MEMORY_BYTES = 1 << 30
"""Features up to this size are trained on from memory; larger ones are read from the store again in
every epoch."""
