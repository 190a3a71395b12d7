"""Settings of finetuning a CNN on cached faces."""

from __future__ import annotations

from dataclasses import dataclass, field

from deepfake_seq.config.augmentation import ViewsConfig
from deepfake_seq.config.checks import check
from deepfake_seq.config.extraction import FLOATS
from deepfake_seq.config.setting import check_settings, setting
from deepfake_seq.errors import UsageError

HEADS = {"dense": "dense", "attention": "frame_attention"}
"""Heads of the CNN, with the sequence model of the same architecture."""

AUTO = "auto"
INPUT_SIZES = (32, 1024)
"""Smallest and largest side of the CNN's input, in pixels."""

_ALL_LAYERS = "all"


def read_layers(text: str) -> int:
    """Return the value of `FinetuneConfig.unfreeze` for --unfreeze.

    Raises:
        UsageError: The text is neither a positive number nor `all`.
    """
    if text == _ALL_LAYERS:
        return 0
    if not text.isdecimal() or not int(text):
        raise UsageError(f"--unfreeze takes a number of layers, or all. Received: {text}")
    return int(text)


@dataclass(frozen=True)
class FinetuneConfig:
    """How a CNN and its head are trained: first the head alone, then with layers of the CNN.

    `augmentation` is drawn again in every epoch; its `views` is not used.
    """

    head: str = setting(
        "dense",
        "Head on top of the CNN: a dense layer per frame, or attention over frames.",
        choices=tuple(HEADS),
    )
    dropout: float = setting(0.3, "Dropout rate before the head's last layer.", low=0, below=1)
    input_size: int = setting(
        0,
        "Side of the CNN's input.",
        low=INPUT_SIZES[0],
        high=INPUT_SIZES[1],
        unit="pixels",
        auto=0,
        default_text="the CNN's own size",
    )
    head_epochs: int = setting(
        15, "Number of epochs for training the head, with the CNN frozen.", low=0, high=10_000
    )
    epochs: int = setting(
        25, "Number of further epochs, with layers of the CNN unfrozen.", low=0, high=10_000
    )
    unfreeze: int = setting(
        -1,
        "Number of layers to unfreeze, counted from the last one, or all.",
        auto=-1,
        metavar="N|all",
        default_text="inception_v3 62, vgg16 all, resnet50 32, efficientnet_b1 80",
        kind=str,
        read=read_layers,
    )
    batch_size: int = setting(64, "Number of frames per batch.", low=1, high=4096)
    learning_rate: float = setting(
        1e-3, "Learning rate of Adam while only the head is trained.", above=0, high=1
    )
    fine_learning_rate: float = setting(
        1e-5, "Learning rate of Adam once layers of the CNN are unfrozen.", above=0, high=1
    )
    augmentation: ViewsConfig = field(default_factory=lambda: ViewsConfig(augment="all"))
    balanced: bool = setting(
        True,
        "Class balancing: weights gives both classes the same total weight.",
        option="--balance",
        option_choices=("weights", "none"),
        read=lambda text: text == "weights",
        write=lambda balanced: "weights" if balanced else "none",
    )
    precision: str = setting(
        AUTO,
        "Floating-point type of the training; auto is bfloat16 on a GPU and float32 on a CPU.",
        choices=(AUTO, *FLOATS),
    )
    seed: int = setting(
        0,
        "Seed of the split, the initial weights, the batch order, dropout and augmentation.",
        low=0,
        high=2**32 - 1,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        check(self.head_epochs + self.epochs > 0, "at least one epoch is required", 0)
        check(self.unfreeze >= -1, "unfreeze must be a number of layers, or all", self.unfreeze)
