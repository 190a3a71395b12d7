"""Options and small helpers that several commands share."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from deepfake_seq import config, console
from deepfake_seq.errors import UsageError

FAILED_VIDEOS = 3
INCONCLUSIVE = 4

PATH = click.Path(path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)

_EXECUTION = config.ExecutionConfig()
_SAMPLING, _FACES, _BACKBONE = (
    config.SamplingConfig(),
    config.FaceConfig(),
    config.BackboneConfig(),
)

Command = Callable[..., Any]


def count_option(name: str, least: int, most: int, help_text: str) -> Callable[[Command], Command]:
    """Make an option for a whole number that is 0 in the settings if it is not given.

    0 itself is refused, like every other number out of range, so that it never means the default.
    """

    def checked(_: click.Context, __: click.Parameter, value: int | None) -> int:
        if value is not None and not least <= value <= most:
            raise UsageError(f"{name} must be from {least} to {most}. Received: {value}")
        return value or 0

    return click.option(name, type=int, callback=checked, help=help_text)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
runtime_option = click.option(
    "--runtime",
    type=click.Choice(config.RUNTIMES),
    default=_EXECUTION.runtime,
    show_default=True,
    help="What runs the CNN.",
)
workers_option = count_option(
    "--workers",
    1,
    config.MAX_WORKERS,
    "Decoding processes.  [default: one for each core, at most 32]",
)
timeout_option = click.option(
    "--timeout",
    type=float,
    default=_EXECUTION.limits.seconds,
    show_default=True,
    help="Seconds for decoding one video.",
)
memory_option = click.option(
    "--memory",
    type=float,
    default=_EXECUTION.limits.memory_bytes / 2**30,
    show_default=True,
    help="GiB of address space for decoding one video.",
)


def sampling_options(command: Command) -> Command:
    """Which frames are looked at."""
    return together(
        command,
        click.option("--frames", type=int, default=_SAMPLING.frames, show_default=True),
        click.option(
            "--sampling",
            type=click.Choice(config.SAMPLERS),
            default=_SAMPLING.strategy,
            show_default=True,
            help="Which frames: spread over the video, in one piece, or key frames (the cheapest).",
        ),
    )


backbone_option = click.option(
    "--backbone",
    type=click.Choice(config.BACKBONES),
    default=_BACKBONE.name,
    show_default=True,
    help="The CNN.",
)


def cnn_options(command: Command) -> Command:
    """Which CNN, with which weights and how exactly it computes."""
    return together(
        command,
        backbone_option,
        click.option(
            "--weights",
            default=_BACKBONE.weights,
            show_default=True,
            metavar="imagenet|untrained|FILE|RUN",
            help="Its weights; those of a run are what `deepseq finetune` made.",
        ),
        click.option(
            "--precision",
            type=click.Choice(config.PRECISIONS),
            default=_BACKBONE.precision,
            show_default=True,
            help="The arithmetic of the CNN and of retinaface.",
        ),
    )


def face_options(command: Command) -> Command:
    """How faces are found and cut out; `face_settings` reads them."""
    return together(
        command,
        click.option(
            "--detector",
            type=click.Choice(config.DETECTORS),
            default=_FACES.detector,
            show_default=True,
            help="What finds the faces; none takes the whole frame.",
        ),
        click.option("--detector-weights", type=EXISTING, help="A file for retinaface or yunet."),
        click.option(
            "--short-side",
            type=int,
            default=_FACES.short_side,
            show_default=True,
            help="Frames are shrunk to this before faces are looked for, in pixels.",
        ),
        click.option(
            "--margin", type=float, default=_FACES.margin, show_default=True, help="Of the crop."
        ),
        click.option(
            "--faces",
            type=click.Choice(config.PEOPLE),
            default=_FACES.people,
            show_default=True,
            help="The person whom the video is about, or a record (VIDEO#0, VIDEO#1 …) of each.",
        ),
    )


def face_settings(options: dict[str, Any]) -> config.FaceConfig:
    """The settings that `face_options` asks for."""
    return config.FaceConfig(
        detector=options["detector"],
        detector_weights=absolute(options["detector_weights"]),
        short_side=options["short_side"],
        margin=options["margin"],
        people=options["faces"],
    )


def together(command: Command, *decorators: Callable[[Command], Command]) -> Command:
    """Several options as one decorator; `--help` shows them in this order."""
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def limits(timeout: float, memory: float) -> config.LimitsConfig:
    """The limits of one video, from the options."""
    return config.LimitsConfig(seconds=timeout, memory_bytes=int(memory * 2**30))


def absolute(path: Path | None) -> str | None:
    """The path from the root, for settings that outlive the working directory."""
    return str(path.absolute()) if path else None


def weights_setting(weights: str) -> str:
    """The value of `BackboneConfig.weights` for that of --weights: a file by its absolute path."""
    if weights in (config.IMAGENET, config.UNTRAINED):
        return weights
    return str(Path(weights).absolute())


def labels_line(records: list[dict[str, Any]]) -> str:
    """`51 videos, 36 real, 15 fake`, from the metadata of records; views are no videos."""
    from deepfake_seq.datasets import LABEL_NAMES

    videos = [record for record in records if "view" not in record["facts"]]
    labels = Counter(LABEL_NAMES[record["label"]] for record in videos)
    return f"{len(videos)} videos, {console.counts(labels)}"


def echo_message(message: str) -> None:
    """One line for people, on stderr."""
    click.echo(f"deepseq: {console.plain(message)}", err=True)


def echo_line(line: str) -> None:
    """One line of the result, on stdout."""
    click.echo(console.plain(line))


def print_json(value: Any) -> None:
    """The one JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))
