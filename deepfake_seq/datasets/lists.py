"""The lists that come with data sets, read with distrust: they come from anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deepfake_seq.errors import DatasetError

MAX_BYTES = 64 << 20
_LONGEST_NAME = 255
_SHOWN = 80


def find_list(folder: Path, name: str) -> Path | None:
    """The file in `folder` that is called `name`, in capitals or not; None if there is none.

    Raises:
        DatasetError: The folder cannot be looked into.
    """
    try:
        found = sorted(path for path in folder.iterdir() if path.name.lower() == name.lower())
    except OSError as error:
        raise DatasetError(f"cannot look for {name} in {folder}: {error.strerror}") from error
    return next((path for path in found if path.is_file()), None)


def read_text(path: Path) -> str:
    """The text of a list, without a byte order mark.

    Raises:
        DatasetError: It cannot be read, is larger than 64 MiB, or is not in UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise DatasetError(f"{path} is no list: it is larger than {MAX_BYTES >> 20} MiB")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not a text in UTF-8: {error.reason}") from error


def read_json(path: Path) -> Any:
    """The JSON document in `path`.

    Raises:
        DatasetError: There is none.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DatasetError(
            f"{path} is not JSON. Fetch it again, or go without by --dataset folders. "
            f"Received: {error}"
        ) from error


def is_file_name(value: object) -> bool:
    """Whether `value` can be the name of a file, without a folder."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= _LONGEST_NAME
        and value.isprintable()
        and not set(value) & set("/\\")
        and value not in (".", "..")
    )


def shown(value: object) -> str:
    """`value` as a message shows it: on one line, and not too long."""
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
