"""Options of what training is shown beside the clips themselves."""

from __future__ import annotations

from typing import Any

import click

from deepfake_seq import config
from deepfake_seq.commands.options import Command, echo_message, together
from deepfake_seq.errors import UsageError

_VIEWS, _FINETUNE = config.ViewsConfig(), config.FinetuneConfig()

_self_blend_option = click.option(
    "--self-blend",
    type=int,
    default=_VIEWS.self_blend,
    show_default=True,
    metavar="K",
    help="Fakes made from each real clip, by blending its face into itself; for training only.",
)
_degrade_option = click.option(
    "--degrade",
    type=click.Choice(config.DEGRADATIONS),
    multiple=True,
    help="What these go through, each by chance: compression once more, blur.",
)


def view_options(command: Command) -> Command:
    """Which views are kept beside a clip; `view_settings` reads them."""
    return together(
        command,
        click.option(
            "--augment",
            type=click.Choice(config.AUGMENTED),
            default=_VIEWS.augment,
            show_default=True,
            help="The class of which augmented views are kept, too, for training only.",
        ),
        click.option(
            "--views",
            type=int,
            metavar="K",
            help=f"How many of each clip.  [default: {_VIEWS.views}]",
        ),
        _self_blend_option,
        _degrade_option,
    )


def augment_options(command: Command) -> Command:
    """What is drawn anew for every clip in every epoch; `view_settings` reads them, too."""
    return together(
        command,
        click.option(
            "--augment",
            type=click.Choice(config.AUGMENTED),
            default=_FINETUNE.augmentation.augment,
            show_default=True,
            help="The class whose training clips are shown otherwise in every epoch.",
        ),
        _self_blend_option,
        _degrade_option,
    )


def view_settings(options: dict[str, Any]) -> config.ViewsConfig:
    """The settings that `view_options` or `augment_options` ask for, and --seed if there is one.

    Raises:
        UsageError: One of them is out of range, or says how to make what is not asked for.
    """
    from deepfake_seq.datasets import FAKE, REAL

    augment, self_blend = options["augment"], options["self_blend"]
    views, ways = options.get("views"), tuple(dict.fromkeys(options["degrade"]))
    if views is not None and augment == "none":
        raise UsageError(f"--views needs --augment real, fake or all. Received: --views {views}")
    if ways and augment == "none" and not self_blend:
        raise UsageError(
            f"--degrade needs --augment or --self-blend. Received: --degrade {' '.join(ways)}"
        )
    asked = config.ViewsConfig(
        augment=augment,
        views=_VIEWS.views if views is None else views,
        self_blend=self_blend,
        degrade=ways,
        seed=options.get("seed", _VIEWS.seed),
    )
    classes = {name for name, label in (("real", REAL), ("fake", FAKE)) if asked.augments(label)}
    classes |= {"fake"} if self_blend else set()
    if ways and len(classes) == 1:
        echo_message(
            f"NOTE: --degrade reaches {classes.pop()} clips alone, and may become a sign of them. "
            "--augment all degrades both classes."
        )
    return asked
