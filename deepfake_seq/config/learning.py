"""Settings of stage 2."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from deepfake_seq.config.checks import check
from deepfake_seq.config.extraction import read_evidence
from deepfake_seq.config.setting import check_settings, setting
from deepfake_seq.errors import UsageError

MODELS = ("gru", "lstm", "dense", "attention", "frame_attention", "logistic", "autoencoder")

RECURRENT = ("gru", "lstm")
INPUTS = ("features", "delta", "both")
BALANCES = ("alpha", "weights", "batches")
THRESHOLDS = ("fpr", "balanced")
TRAINERS = ("numpy", "keras")
AUXILIARIES = ("none", "masks")
SPLITS = ("auto", "official", "group")
MAX_MEMBERS = 100

FEW_CLIPS = 400
"""Below this number of clips, several networks are trained, for a minimum number of epochs."""

FEW_CLIPS_MEMBERS = 5
FEW_CLIPS_EPOCHS = 30

RECURRENT_UNITS = (64, 32, 16)
"""Units of runs that were written before the units were a setting."""

_MAX_LAYERS, _MAX_UNITS = 4, 512
"""Five networks of this size on 2,048 features fit in the weights file of a run."""

_MAX_BLOCKS = 64

_MAX_SEED = 2**32 - 1
_NO_BALANCE = "none"


def read_units(text: str) -> tuple[int, ...]:
    """Return the units that a text such as `64,32,16` lists.

    Raises:
        UsageError: The text is not a list of whole numbers.
    """
    try:
        return tuple(int(units) for units in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"units are whole numbers, one for each layer, such as 64,32,16. Received: {text!r}"
        ) from error


def write_units(units: tuple[int, ...]) -> str:
    """Return units as a text such as `64,32,16`."""
    return ",".join(map(str, units))


def read_balance(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the value of `TrainConfig.balance` for the values of --balance.

    Raises:
        UsageError: `none` is combined with another value.
    """
    if _NO_BALANCE in values and len(values) > 1:
        raise UsageError(
            f"--balance none cannot be combined with other values. Received: {' '.join(values)}"
        )
    return () if values == (_NO_BALANCE,) else values


def write_balance(balance: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values of --balance for a value of `TrainConfig.balance`."""
    return balance or (_NO_BALANCE,)


PAPER: dict[str, Any] = {
    "evidence": ("features",),
    "wide": False,
    "input_dropout": 0.0,
    "input_noise": 0.0,
    "block_dropout": 0.0,
}
"""Settings of the paper's network and its training that differ from the defaults."""


def default_inputs(model: str) -> str:
    """Return the default of `ModelConfig.inputs`: logistic regression ignores the frame order."""
    return "both" if model == "logistic" else "features"


@dataclass(frozen=True)
class ModelConfig:
    """The sequence model."""

    name: str = setting("gru", "Sequence model.", choices=MODELS, option="--model")
    bidirectional: bool = setting(False, "Read the frames in both directions (gru and lstm only).")
    dropout: float = setting(0.3, "Dropout rate before the last layer.", low=0, below=1)
    inputs: str = setting(
        "features",
        "Model inputs: the features, their absolute change from frame to frame, or both.",
        choices=INPUTS,
    )
    shuffle_frames: bool = setting(
        False, "Shuffle the frames of each clip: a control that shows whether their order matters."
    )
    units: tuple[int, ...] = setting(
        RECURRENT_UNITS,
        f"Units of the recurrent layers, first to last: 1 to {_MAX_LAYERS} numbers from 1 to "
        f"{_MAX_UNITS}, separated by commas.",
        metavar="N,N,...",
        read=read_units,
        write=write_units,
    )
    wide: bool = setting(
        True,
        "Add a linear function of the clip's mean, standard deviation and mean absolute change to "
        "the logit (gru and lstm only).",
    )
    evidence: tuple[str, ...] = setting(
        (),
        "Evidence blocks to use, separated by commas, such as features,depths.",
        metavar="NAME,NAME,...",
        default_text="those that every usable clip has",
        read=read_evidence,
        write=",".join,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        recurrent = " and ".join(RECURRENT)
        check(
            self.name in RECURRENT or not self.bidirectional,
            f"only {recurrent} can be bidirectional",
            self.name,
        )
        check(
            self.name != "autoencoder" or (self.inputs, self.shuffle_frames) == ("features", False),
            "the autoencoder reads the features of the frames in their order",
            (self.inputs, self.shuffle_frames),
        )
        check(
            self.name != "logistic" or not self.shuffle_frames,
            "logistic regression has no frames to shuffle",
            self.name,
        )
        check(
            type(self.units) is tuple
            and 1 <= len(self.units) <= _MAX_LAYERS
            and all(type(units) is int and 1 <= units <= _MAX_UNITS for units in self.units),
            f"units must be 1 to {_MAX_LAYERS} whole numbers from 1 to {_MAX_UNITS}",
            self.units,
        )
        check(
            self.name in RECURRENT or self.units == RECURRENT_UNITS,
            f"only {recurrent} have units",
            self.name,
        )
        check(
            type(self.evidence) is tuple
            and len(set(self.evidence)) == len(self.evidence) <= _MAX_BLOCKS
            and all(re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) for name in self.evidence),
            "evidence must be different names of evidence blocks, such as features,depths",
            self.evidence,
        )

    @property
    def statistics(self) -> str:
        """Statistics that the wide part of the model uses; see `preprocessing.statistics`.

        They are those of the model's inputs; "" without a wide part.
        """
        if not self.wide or self.name not in RECURRENT:
            return ""
        return "delta" if self.inputs == "delta" else "both"

    @property
    def title(self) -> str:
        """Display name of the model, such as `gru`, `bigru` or `gru-shuffled`."""
        title = f"bi{self.name}" if self.bidirectional else self.name
        return f"{title}-shuffled" if self.shuffle_frames else title


@dataclass(frozen=True)
class SplitConfig:
    """How clips are split into training, validation and test clips."""

    strategy: str = setting(
        "auto",
        "How to split: official uses the data set's own split, group makes a new split by group, "
        "auto uses the official split if there is one.",
        choices=SPLITS,
        option="--split",
    )
    validation: float = setting(
        0.2,
        "Fraction of clips held out for early stopping, calibration and the threshold.",
        above=0,
        below=1,
    )
    test: float = setting(0.2, "Fraction of clips held out for the final test.", low=0, below=1)
    allow_shared: bool = setting(
        False, "Accept an official split in which an identity appears in several splits."
    )
    seed: int = setting(0, "Seed of the split.", low=0, high=_MAX_SEED)

    def __post_init__(self) -> None:
        check_settings(self)
        check(
            self.validation + self.test < 1,
            "validation and test fractions must add up to less than 1",
            self.validation + self.test,
        )


@dataclass(frozen=True)
class TrainConfig:
    """How a sequence model is trained.

    An ensemble holds out a different share of the clips that are not test clips for each of its
    members, so that together all of these clips serve for validation.
    """

    epochs: int = setting(100, "Maximum number of epochs.", low=1, high=10_000)
    batch_size: int = setting(32, "Number of clips per batch.", low=1, high=65_536)
    learning_rate: float = setting(1e-3, "Learning rate of Adam.", above=0, high=1)
    patience: int = setting(
        15,
        "Number of epochs without a better validation score before training stops.",
        low=1,
        high=10_000,
    )
    gamma: float = setting(
        2.0, "Focusing exponent of the focal loss; 0 is weighted cross-entropy.", low=0, high=10
    )
    balance: tuple[str, ...] = setting(
        ("alpha",),
        "Correction for unequal class counts: focal-loss alpha, class weights, or batches with "
        "equal classes. Repeat the option for several.",
        choices=BALANCES,
        option_choices=(*BALANCES, _NO_BALANCE),
        read=read_balance,
        write=write_balance,
    )
    members: int = setting(
        0,
        "Number of networks to average, each validated on different clips.",
        low=1,
        high=MAX_MEMBERS,
        auto=0,
        default_text=f"{FEW_CLIPS_MEMBERS} below {FEW_CLIPS} clips, else 1",
    )
    seed: int = setting(
        0,
        "Seed of the split, the initial weights, the batch order and dropout.",
        low=0,
        high=_MAX_SEED,
    )
    runtime: str = setting(
        "numpy",
        "Library that trains: NumPy on the CPU, or Keras on the backend named by KERAS_BACKEND.",
        choices=TRAINERS,
    )
    input_dropout: float = setting(
        0.5,
        "Fraction of the inputs that are set to their mean in training, chosen anew for each clip "
        "and the same in all its frames. Logistic regression and autoencoder ignore it.",
        low=0,
        below=1,
    )
    input_noise: float = setting(
        1.0,
        "Standard deviation of the noise that training adds to every standardised input of every "
        "frame. Logistic regression ignores it.",
        low=0,
        high=100,
    )
    block_dropout: float = setting(
        0.0,
        "Fraction of the evidence blocks that are set to their mean in training, chosen anew for "
        "each clip. At least one block is kept.",
        low=0,
        below=1,
    )
    wide_l2: float = setting(
        1e-3,
        "L2 penalty of the wide part (see --wide), on statistics scaled by the square root of "
        "their number.",
        low=0,
        high=100,
    )
    min_epochs: int = setting(
        0,
        "Minimum number of epochs; no earlier epoch is kept. A score on few validation clips can "
        "be best by chance, before the network has learnt anything.",
        low=1,
        high=10_000,
        auto=0,
        default_text=f"{FEW_CLIPS_EPOCHS} below {FEW_CLIPS} training clips, else 1",
    )
    pseudo_fakes: bool = setting(
        False,
        "Train on the self-blended fakes of the store even if the training clips include fakes.",
    )
    auxiliary: str = setting(
        "none",
        "Second output to train: masks predicts the share of each face region that was replaced, "
        "where it is known. It is dropped after training. Logistic regression and autoencoder "
        "ignore it.",
        choices=AUXILIARIES,
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class DecisionConfig:
    """How the threshold is chosen, on validation clips only."""

    threshold: str = setting(
        "fpr",
        "Rule for the threshold: fpr meets the target false-positive rate, balanced has the best "
        "balanced accuracy.",
        choices=THRESHOLDS,
    )
    target_fpr: float = setting(
        0.05,
        "Target false-positive rate: maximum fraction of real clips called fake.",
        above=0,
        below=0.5,
    )

    def __post_init__(self) -> None:
        check_settings(self)


MIN_VALID_FRAMES = 8
"""Minimum number of frames with a face; clips with fewer are not trained on and get no verdict."""

TRAINING_MEMORY_BYTES = 1 << 30
"""Features up to this size are kept in memory; larger ones are read again in every epoch."""
