"""Reading untrusted files into typed objects.

Nothing that a file contains is executed, no link is followed, and no file is read beyond a limit.
What does not fit its type is refused with one line that names the file and the place in it.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import stat
from collections.abc import Collection
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy.typing as npt

from deepfake_seq.errors import RunError, UsageError

T = TypeVar("T")

MAKE_AGAIN = "Make the run again with `deepseq fit`, or get another copy of it."


def damaged(path: Path, reason: str, remedy: str = MAKE_AGAIN) -> RunError:
    """Make the error for a file or folder whose content does not fit, as one short line."""
    # msgspec quotes some keys as they are.
    reason = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in reason[:500])
    return RunError(f"{path} cannot be read, it is damaged or was altered: {reason}. {remedy}")


def read_file(path: Path, max_bytes: int) -> bytes:
    """Read a regular file.

    Raises:
        RunError: It is missing, a link, not a regular file, or larger than `max_bytes`.
    """
    try:
        # Opening a pipe must not wait for a writer.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise RunError(f"{path} is no regular file")
            if found.st_size > max_bytes:
                raise RunError(
                    f"{path} is larger than any run's ({max_bytes} bytes). "
                    f"Received: {found.st_size} bytes"
                )
            return file.read(max_bytes)
    except OSError as error:
        reason = "it is a link" if path.is_symlink() else error.strerror
        raise RunError(f"{path} cannot be read: {reason}") from error


def decode(path: Path, kind: type[T], max_bytes: int, remedy: str = MAKE_AGAIN) -> T:
    """Decode a JSON file; see `convert`.

    Args:
        path: The file.
        kind: The type that its content must have.
        max_bytes: The largest size that is read.
        remedy: What to do if the content does not fit.

    Raises:
        RunError: The file cannot be read, or its content does not fit.
    """
    content = read_file(path, max_bytes)
    try:
        # msgspec's own JSON parser refuses names of files that are not UTF-8.
        values = json.loads(content, parse_constant=_number, parse_float=_number, parse_int=_number)
        return convert(values, kind)
    except (ValueError, RecursionError, UsageError) as error:
        raise damaged(path, str(error), remedy) from error


def convert(values: object, kind: type[T]) -> T:
    """Convert plain JSON values to a type, strictly: text is no number, and true is not 1.

    Dataclasses take no unknown keys; a `msgspec.Struct` does, unless its class forbids it. `vars`
    of a dataclass lacks the fields that are left at their defaults.

    Raises:
        ValueError: The values do not fit; the message says where.
        UsageError: A setting is out of range.
    """
    made = msgspec.convert(values, kind)
    _refuse_unknown_keys(values, made, "$")
    return made


def decode_rows(
    path: Path,
    kind: type[T],
    columns: Collection[str],
    max_bytes: int,
    optional: Collection[str] = (),
) -> list[T]:
    """Decode a CSV file that has a header.

    Args:
        path: The file.
        kind: The type of a row, by the names of the columns.
        columns: The columns that there must be.
        max_bytes: The largest size that is read.
        optional: Columns that there may be.

    Raises:
        RunError: The file cannot be read, or a row does not fit; the message names the line.
    """
    content = read_file(path, max_bytes)
    try:
        text = content.decode("utf-8", "surrogatepass")  # names of files may be something else
    except UnicodeDecodeError as error:
        raise damaged(path, f"it is not in UTF-8: {error}") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    row: list[str] = []
    rows = []
    try:
        row = header = next(reader, [])
        if len(set(header)) < len(header) or {*header} - {*optional} != {*columns}:
            raise ValueError(f"the columns must be {','.join(columns)}")
        for row in reader:
            if len(row) != len(header):
                raise ValueError(f"{len(header)} columns are needed")
            cells = dict(zip(header, row, strict=True))
            rows.append(msgspec.convert(cells, kind, strict=False))
    except (ValueError, csv.Error) as error:
        place, received = f"{path}:{reader.line_num}", str(row)[:300]
        raise RunError(f"{place}: {error}. {MAKE_AGAIN} Received: {received}") from error
    return rows


def read_tensors(
    path: Path, max_bytes: int, remedy: str = MAKE_AGAIN
) -> dict[str, npt.NDArray[Any]]:
    """Read a safetensors file.

    Raises:
        RunError: The file cannot be read, or is something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = read_file(path, max_bytes)
    try:
        return dict(load(content))
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, repr(error), remedy) from error


def _number(text: str) -> int | float:
    """Parse a JSON number; integers beyond 64 bits become floats, which no integer field takes."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"not a finite number: {text[:40]}")
    return int(text) if text.lstrip("-").isdigit() and abs(number) < 2**63 else number


def _refuse_unknown_keys(values: Any, made: object, where: str) -> None:
    """Refuse keys that a dataclass does not have: msgspec skips them."""
    if is_dataclass(made):
        names = {field.name for field in fields(made)}
        if unknown := values.keys() - names:
            raise ValueError(f"Unknown key {min(unknown)[:40]!r} - at `{where}`")
    elif isinstance(made, msgspec.Struct):
        names = set(made.__struct_fields__)
    else:
        return
    for name in values.keys() & names:
        _refuse_unknown_keys(values[name], getattr(made, name), f"{where}.{name}")
