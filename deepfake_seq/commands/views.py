"""Options of the views and self-blended fakes that are added for training."""

from __future__ import annotations

from typing import Any

from deepfake_seq.commands.options import from_options, option_of, options_of, together
from deepfake_seq.commands.output import echo_message
from deepfake_seq.config import FinetuneConfig, ViewsConfig
from deepfake_seq.errors import UsageError

_HEADING = "Augmentation"

view_options = together(
    option_of(ViewsConfig, "augment", _HEADING),
    # The default is None, so that --views without --augment can be refused.
    option_of(ViewsConfig, "views", _HEADING, default=None, show_default=str(ViewsConfig().views)),
    options_of(ViewsConfig, "self_blend", "degrade", heading=_HEADING),
)
augment_options = together(
    option_of(
        ViewsConfig,
        "augment",
        _HEADING,
        default=FinetuneConfig().augmentation.augment,
        help="Classes whose training clips are augmented, differently in every epoch.",
    ),
    options_of(ViewsConfig, "self_blend", "degrade", heading=_HEADING),
)


def view_settings(options: dict[str, Any]) -> ViewsConfig:
    """Return the settings of `view_options` or `augment_options`, and of --seed if present.

    Raises:
        UsageError: A value is out of range, or applies to records that are not requested.
    """
    from deepfake_seq.datasets import FAKE, REAL

    settings = from_options(ViewsConfig, options)
    views, degradations = options.get("views"), settings.degrade
    if views is not None and settings.augment == "none":
        raise UsageError(f"--views needs --augment real, fake or all. Received: --views {views}")
    if degradations and settings.augment == "none" and not settings.self_blend:
        raise UsageError(
            "--degrade needs --augment or --self-blend. "
            f"Received: --degrade {' '.join(degradations)}"
        )
    classes = {name for name, label in (("real", REAL), ("fake", FAKE)) if settings.augments(label)}
    classes |= {"fake"} if settings.self_blend else set()
    if degradations and len(classes) == 1:
        echo_message(
            f"NOTE: --degrade changes {classes.pop()} clips alone: a model may learn the "
            "degradation as a sign of that class. --augment all degrades both classes."
        )
    return settings
