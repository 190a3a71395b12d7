"""Read the lists that come with data sets, as untrusted input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deepfake_seq.errors import DatasetError

MAX_BYTES = 64 << 20
_MAX_NAME_CHARACTERS = 255
_MAX_MESSAGE_CHARACTERS = 80


def find_list(folder: Path, name: str) -> Path | None:
    """Return the file called `name` in `folder`, ignoring case; None if there is none.

    Raises:
        DatasetError: The folder cannot be read.
    """
    try:
        matches = sorted(path for path in folder.iterdir() if path.name.lower() == name.lower())
    except OSError as error:
        raise DatasetError(f"cannot look for {name} in {folder}: {error.strerror}") from error
    return next((path for path in matches if path.is_file()), None)


def read_text(path: Path) -> str:
    """Return the text of a list, without a byte order mark.

    Raises:
        DatasetError: The file cannot be read, is larger than 64 MiB, or is not in UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise DatasetError(
                f"{path} is larger than {MAX_BYTES >> 20} MiB, so it is not a list of the data "
                "set. Download it again."
            )
        return data.decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path} is not text in UTF-8: {error.reason}. Download it again."
        ) from error


def read_json(path: Path) -> Any:
    """Return the JSON document in `path`.

    Raises:
        DatasetError: The file cannot be read or is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DatasetError(
            f"{path} is not JSON. Download it again, or ignore it with --dataset folders. "
            f"Received: {error}"
        ) from error


def is_file_name(value: object) -> bool:
    """Return whether `value` can be a file name without a folder."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= _MAX_NAME_CHARACTERS
        and value.isprintable()
        and not set(value) & set("/\\")
        and value not in (".", "..")
    )


def abbreviate(value: object) -> str:
    """Format `value` for a message: on one line, in ASCII, cut after 80 characters."""
    text = ascii(value)
    if len(text) <= _MAX_MESSAGE_CHARACTERS:
        return text
    return f"{text[:_MAX_MESSAGE_CHARACTERS]}… ({len(text)} characters)"
