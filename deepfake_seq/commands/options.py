"""Options and small helpers that several commands share."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

from deepfake_seq import config

FAILED_VIDEOS = 3
INCONCLUSIVE = 4

PATH = click.Path(path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)

_EXECUTION = config.ExecutionConfig()

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
runtime_option = click.option(
    "--runtime",
    type=click.Choice(config.RUNTIMES),
    default=_EXECUTION.runtime,
    show_default=True,
    help="What runs the CNN.",
)
workers_option = click.option(
    "--workers",
    type=int,
    default=_EXECUTION.workers,
    help="Decoding processes.  [default: one for each core, at most 4]",
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


def limits(timeout: float, memory: float) -> config.LimitsConfig:
    """The limits of one video, from the options."""
    return config.LimitsConfig(seconds=timeout, memory_bytes=int(memory * 2**30))


def absolute(path: Path | None) -> str | None:
    """The path from the root, for settings that outlive the working directory."""
    return str(path.absolute()) if path else None


def labels_line(records: list[dict[str, Any]]) -> str:
    """`51 videos, 36 real, 15 fake`, from the metadata of records."""
    from deepfake_seq import console
    from deepfake_seq.datasets import LABEL_NAMES

    labels = Counter(LABEL_NAMES[record["label"]] for record in records)
    return f"{len(records)} videos, {console.counts(labels)}"


def say(message: str) -> None:
    """One line for people, on stderr."""
    click.echo(f"deepseq: {message}", err=True)


def print_json(value: Any) -> None:
    """The one JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))
