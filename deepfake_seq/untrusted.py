"""Decode untrusted files into typed objects.

Nothing that a file contains is executed, links are not followed, and oversized files are not read.
Content that does not fit its type is refused with one line that names the file and the place in it.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from deepfake_seq.errors import RunError, UsageError

T = TypeVar("T")

REMEDY = "Train the run again with `deepseq fit`, or get another copy of it."


def damaged(path: Path, reason: str, remedy: str = REMEDY) -> RunError:
    """Return the error for a file or folder with invalid content, as one short line."""
    # msgspec quotes some keys without escaping them.
    reason = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in reason[:500])
    return RunError(f"{path} cannot be read, it is damaged or was altered: {reason}. {remedy}")


def read_file(path: Path, max_bytes: int) -> bytes:
    """Read a regular file.

    Raises:
        RunError: The file is missing, a link, not a regular file, or larger than `max_bytes`.
    """
    try:
        # Opening a pipe must not wait for a writer.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise RunError(f"{path} is not a regular file")
            if status.st_size > max_bytes:
                raise RunError(
                    f"{path} is too large: at most {max_bytes} bytes are read. "
                    f"Received: {status.st_size} bytes"
                )
            return file.read(max_bytes)
    except OSError as error:
        reason = "it is a link" if path.is_symlink() else error.strerror
        raise RunError(f"{path} cannot be read: {reason}") from error


def decode(path: Path, kind: type[T], max_bytes: int, remedy: str = REMEDY) -> T:
    """Decode a JSON file; see `convert`.

    Args:
        path: Path of the file.
        kind: Type that its content must have.
        max_bytes: Maximum size of the file.
        remedy: Advice that the message gives if the content is invalid.

    Raises:
        RunError: The file cannot be read, or its content is invalid.
    """
    content = read_file(path, max_bytes)
    try:
        # msgspec's own JSON parser refuses file names that are not UTF-8.
        values = json.loads(content, parse_constant=_number, parse_float=_number, parse_int=_number)
        return convert(values, kind)
    except (ValueError, RecursionError, UsageError) as error:
        raise damaged(path, str(error), remedy) from error


def convert(values: object, kind: type[T]) -> T:
    """Convert plain JSON values to a type, strictly: text is not a number, and true is not 1.

    Unknown keys are refused for a dataclass, and ignored for a `msgspec.Struct` unless its class
    forbids them. `vars` of the resulting dataclass lacks the fields that have their default value.

    Raises:
        ValueError: The values do not fit the type; the message says where.
        UsageError: A setting is out of range.
    """
    result = msgspec.convert(values, kind)
    _refuse_unknown_keys(values, result, "$")
    return result


def decode_rows(
    path: Path,
    kind: type[T],
    columns: Collection[str],
    max_bytes: int,
    optional: Collection[str] = (),
) -> list[T]:
    """Decode a CSV file that has a header.

    Args:
        path: Path of the file.
        kind: Type of a row; its fields are named like the columns.
        columns: Required columns.
        max_bytes: Maximum size of the file.
        optional: Optional columns.

    Raises:
        RunError: The file cannot be read, or a row is invalid; the message names the line.
    """
    content = read_file(path, max_bytes)
    try:
        text = content.decode("utf-8", "surrogatepass")  # file names need not be UTF-8
    except UnicodeDecodeError as error:
        raise damaged(path, f"it is not UTF-8: {error}") from error
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
        raise RunError(f"{place}: {error}. {REMEDY} Received: {received}") from error
    return rows


def read_tensors(path: Path, max_bytes: int, remedy: str = REMEDY) -> dict[str, npt.NDArray[Any]]:
    """Read a safetensors file.

    Raises:
        RunError: The file cannot be read, or is not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = read_file(path, max_bytes)
    try:
        return dict(load(content))
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, repr(error), remedy) from error


def check_tensors(
    tensors: Mapping[str, npt.NDArray[Any]],
    shapes: Mapping[str, tuple[int, ...]],
    dtypes: Mapping[str, npt.DTypeLike] | None = None,
) -> None:
    """Check names, shapes, dtype and values of the tensors in a file.

    Args:
        tensors: The tensors by name.
        shapes: Name and shape of each tensor that must be there; no others may be.
        dtypes: Dtypes other than float32, by name.

    Raises:
        ValueError: They are not as expected, or a value is not finite; the message names a tensor.
    """
    different = sorted(tensors.keys() ^ shapes.keys())
    if different:
        raise ValueError(f"missing or unknown tensors: {', '.join(different[:4])}")
    for name, shape in shapes.items():
        tensor, dtype = tensors[name], np.dtype((dtypes or {}).get(name, np.float32))
        if tensor.shape != shape or tensor.dtype != dtype or not np.isfinite(tensor).all():
            raise ValueError(
                f"{name} must be finite {dtype} {shape}. Received: {tensor.dtype} {tensor.shape}"
            )


def _number(text: str) -> int | float:
    """Parse a JSON number; integers beyond 64 bits become floats, which no integer field takes."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"not a finite number: {text[:40]}")
    return int(text) if text.lstrip("-").isdigit() and abs(number) < 2**63 else number


def _refuse_unknown_keys(values: Any, result: object, where: str) -> None:
    """Refuse keys that a dataclass does not have: msgspec ignores them."""
    if is_dataclass(result):
        names = {field.name for field in fields(result)}
        if unknown := values.keys() - names:
            raise ValueError(f"Unknown key {min(unknown)[:40]!r} - at `{where}`")
    elif isinstance(result, msgspec.Struct):
        names = set(result.__struct_fields__)
    else:
        return
    for name in values.keys() & names:
        _refuse_unknown_keys(values[name], getattr(result, name), f"{where}.{name}")
