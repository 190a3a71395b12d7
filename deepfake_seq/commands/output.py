"""What commands print, and their exit codes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from deepfake_seq import console
from deepfake_seq.errors import DeepseqError

FAILED_VIDEOS = 3
INCONCLUSIVE = 4


def labels_line(records: list[dict[str, Any]]) -> str:
    """Return a line such as `51 videos, 36 real, 15 fake` from the metadata of records.

    Views and self-blended fakes are not counted.
    """
    from deepfake_seq.datasets import LABEL_NAMES
    from deepfake_seq.store.record_ids import VIEW_FACT

    videos = [record for record in records if VIEW_FACT not in record["facts"]]
    labels = Counter(LABEL_NAMES[record["label"]] for record in videos)
    return f"{len(videos)} videos, {console.counts(labels)}"


def echo_message(message: str) -> None:
    """Print a message for the user on stderr, as one line."""
    click.echo(f"deepseq: {console.plain(message)}", err=True)


def echo_notes(notes: Iterable[str]) -> None:
    """Print notes on stderr, one line each, without repetitions."""
    for note in dict.fromkeys(notes):
        echo_message(f"NOTE: {note}")


def echo_line(line: str) -> None:
    """Print one line of the result on stdout."""
    click.echo(console.plain(line))


def print_json(value: Any) -> None:
    """Print the JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))


@contextmanager
def writing(path: Path, option: str) -> Iterator[None]:
    """Turn an operating system error into a message: `path`, given by `option`, is not writable."""
    try:
        yield
    except OSError as error:
        raise DeepseqError(
            f"cannot write {path}: {error.strerror or error}. Give another path with {option}."
        ) from error
