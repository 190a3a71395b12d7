"""Settings of fine-tuning a CNN on cached faces."""

from __future__ import annotations

from dataclasses import dataclass, field

from deepfake_seq.config.augmentation import ViewsConfig
from deepfake_seq.config.checks import check, check_choice
from deepfake_seq.config.extraction import PRECISIONS

HEADS = {"dense": "dense", "attention": "frame_attention"}
"""What goes behind the CNN, and which sequence model judges by it."""

AUTO = "auto"
INPUT_SIZES = (32, 1024)
"""Smallest and largest side of the CNN's input, in pixels."""


@dataclass(frozen=True)
class FinetuneConfig:
    """How a CNN and its head are trained: first the head alone, then the CNN's end or all of it.

    Attributes:
        head: A key of `HEADS`.
        dropout: The rate of the dropout before the head's last layer.
        input_size: The side of the CNN's input in pixels; 0 for the CNN's own.
        head_epochs: Passes over the training frames with the whole CNN frozen.
        epochs: Passes with its last layers unfrozen.
        unfreeze: How many layers, from the last one; 0 for all, -1 for the CNN's own number.
        batch_size: Frames in a batch.
        learning_rate: Adam's step size for the head.
        fine_learning_rate: Adam's step size once layers of the CNN are unfrozen.
        augmentation: Which clips are shown otherwise in every epoch, and how many self-blended
            fakes each real clip gives in it; `views` says nothing here.
        balanced: Whether both classes count the same.
        precision: Of the arithmetic; `auto` is float32 on a CPU and bfloat16 on a GPU.
        seed: Of the head's first weights, the order, the dropout and the draws.
    """

    head: str = "dense"
    dropout: float = 0.3
    input_size: int = 0
    head_epochs: int = 15
    epochs: int = 25
    unfreeze: int = -1
    batch_size: int = 64
    learning_rate: float = 1e-3
    fine_learning_rate: float = 1e-5
    augmentation: ViewsConfig = field(default_factory=lambda: ViewsConfig(augment="all"))
    balanced: bool = True
    precision: str = AUTO
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("head", self.head, tuple(HEADS))
        check_choice("precision", self.precision, (AUTO, *PRECISIONS))
        check(0.0 <= self.dropout < 1.0, "dropout must be at least 0 and below 1", self.dropout)
        size = self.input_size
        least, most = INPUT_SIZES
        check(
            size == 0 or least <= size <= most,
            f"input size must be from {least} to {most}, or 0 for the CNN's own",
            size,
        )
        for name in ("head_epochs", "epochs"):
            check(
                0 <= getattr(self, name) <= 10_000, f"{name} must be 0 to 10000", vars(self)[name]
            )
        check(self.head_epochs + self.epochs > 0, "at least one epoch is needed", 0)
        check(self.unfreeze >= -1, "unfreeze is a number of layers, or all", self.unfreeze)
        check(1 <= self.batch_size <= 4096, "batch size must be 1 to 4096", self.batch_size)
        for name in ("learning_rate", "fine_learning_rate"):
            rate = getattr(self, name)
            check(0 < rate <= 1, f"{name.replace('_', ' ')} must be in (0, 1]", rate)
        check(0 <= self.seed < 2**32, "seed must be from 0 to 4294967295", self.seed)
