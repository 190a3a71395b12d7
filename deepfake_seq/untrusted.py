"""Reading files that may come from anybody."""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from deepfake_seq.errors import RunError

_MOST_DIGITS = 18


def read_file(path: Path, most_bytes: int) -> bytes:
    """The content of a file of a run, which may come from anybody.

    Raises:
        RunError: It is not there, no regular file, a link, or larger than `most_bytes`.
    """
    try:
        # Opening a pipe must not wait for a writer.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise RunError(f"{path} is no regular file")
            if found.st_size > most_bytes:
                raise RunError(
                    f"{path} is larger than any run's ({most_bytes} bytes). "
                    f"Received: {found.st_size} bytes"
                )
            return file.read(most_bytes)
    except OSError as error:
        reason = "it is a link" if path.is_symlink() else error.strerror
        raise RunError(f"{path} cannot be read: {reason}") from error


def read_json(path: Path, most_bytes: int) -> dict[str, Any]:
    """The JSON object in a file of a run.

    Raises:
        RunError: It cannot be read, or is no such thing.
    """
    content = read_file(path, most_bytes)
    try:
        values = json.loads(
            content, parse_constant=_refuse, parse_float=_finite, parse_int=_bounded
        )
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if type(values) is not dict:
        raise RunError(f"{path} cannot be read: it is no JSON object")
    return values


def _refuse(constant: str) -> None:
    raise ValueError(f"no JSON number: {constant}")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"beyond all numbers: {text[:40]}")
    return value


def _bounded(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"beyond all numbers: {text[:40]}")
    return int(text)
