"""Read the lists that come with data sets, and CSV files, as untrusted input."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from deepfake_seq.errors import DatasetError

MAX_BYTES = 64 << 20
DELIMITERS = ",;\t|"

_DOWNLOAD = "Download it again."
_SAVE_AS_UTF8 = "Save it as CSV in UTF-8."
_PREAMBLE = re.compile(r"(?:sep=.)?\s*\n+", re.IGNORECASE)  # what spreadsheets put before a header
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_MAX_NAME_CHARACTERS = 255
_MAX_MESSAGE_CHARACTERS = 80


def find_list(folder: Path, name: str) -> Path | None:
    """Return the file called `name` in `folder`, ignoring case; None if there is none.

    Raises:
        DatasetError: The folder cannot be read.
    """
    return next((path for path in _find(folder, name) if path.is_file()), None)


def find_folder(folder: Path, name: str) -> Path | None:
    """Return the folder called `name` in `folder`, ignoring case; None if there is none.

    Raises:
        DatasetError: The folder cannot be read.
    """
    return next((path for path in _find(folder, name) if path.is_dir()), None)


def read_text(path: Path, remedy: str = _DOWNLOAD) -> str:
    """Return the text of a list, without a byte order mark.

    Args:
        path: Path of the list.
        remedy: What to do about a file that is not text; part of the error message.

    Raises:
        DatasetError: The file cannot be read, is larger than 64 MiB, or is not in UTF-8.
    """
    return _decode(path, _read_bytes(path, remedy), "utf-8-sig", remedy)


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


class Row(NamedTuple):
    """A row of a CSV file.

    Attributes:
        line: Number of its last line in the file, from 1.
        values: Value in each known column, without surrounding spaces; "" if the row is too short.
    """

    line: int
    values: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """The known columns of a CSV file.

    Attributes:
        path: Path of the file.
        columns: Name of each known column that the file has, as it is spelled in the file.
        header: Names of all columns, as the file spells them.
        rows: Rows that are not blank.
    """

    path: Path
    columns: Mapping[str, str]
    header: tuple[str, ...]
    rows: tuple[Row, ...]


def read_table(path: Path, known: Mapping[str, Sequence[str]]) -> Table:
    """Read the known columns of a CSV file with a header.

    The delimiter is a comma, semicolon, tab or `|`: the one with which the header has most known
    columns. The text is in UTF-8, or in UTF-16 with a byte order mark.

    Args:
        path: Path of the file.
        known: Spellings of each column in lower case, without spaces, hyphens and underscores; the
            first that the header contains is used.

    Raises:
        DatasetError: The file cannot be read, is larger than 64 MiB, is not a CSV file, or has a
            line with more values than columns.
    """
    data = _read_bytes(path, _SAVE_AS_UTF8)
    encoding = "utf-16" if data.startswith(_UTF16_MARKS) else "utf-8-sig"
    text = _decode(path, data, encoding, _SAVE_AS_UTF8)
    preamble = _PREAMBLE.match(text)
    start = preamble.end() if preamble else 0
    first_line = text.count("\n", 0, start)
    delimiter = _delimiter(text[start:], known)
    reader = csv.reader(
        io.StringIO(text[start:], newline=""),
        delimiter=delimiter,
        skipinitialspace=True,
        strict=True,
    )
    try:
        header = [name.strip() for name in next(reader, [])]
        positions = _positions(header, known)
        rows = []
        for cells in reader:
            if any(cell.strip() for cell in cells[len(header) :]):
                raise DatasetError(
                    f"{path}:{first_line + reader.line_num}: the line has more values than the "
                    "header has columns. Put values that contain the delimiter in quotes. "
                    f"Received: {abbreviate(delimiter.join(cells))}"
                )
            if any(cell.strip() for cell in cells):
                cells += [""] * (len(header) - len(cells))
                values = {name: cells[position].strip() for name, position in positions.items()}
                rows.append(Row(first_line + reader.line_num, values))
    except csv.Error as error:
        raise DatasetError(
            f"{path}:{first_line + reader.line_num}: not a line of a CSV file: {error}. "
            f"{_SAVE_AS_UTF8}"
        ) from error
    used = {name: header[position] for name, position in positions.items()}
    return Table(path, used, tuple(header), tuple(rows))


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


def _find(folder: Path, name: str) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name.lower() == name.lower())
    except OSError as error:
        raise DatasetError(f"cannot look for {name} in {folder}: {error.strerror}") from error


def _read_bytes(path: Path, remedy: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise DatasetError(
            f"{path} is larger than {MAX_BYTES >> 20} MiB, so it is not a list of videos. {remedy}"
        )
    return data


def _decode(path: Path, data: bytes, encoding: str, remedy: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DatasetError(
            f"{path} is not text in UTF-8: {error.reason} in line {line}. {remedy}"
        ) from error


def _delimiter(text: str, known: Mapping[str, Sequence[str]]) -> str:
    """Return the delimiter with which the first line has most known columns."""
    first_line = re.split(r"[\r\n]", text, maxsplit=1)[0]

    def count(delimiter: str) -> int:
        try:
            header = next(csv.reader([first_line], delimiter=delimiter), [])
        except csv.Error:
            return 0
        return len(_positions(header, known))

    return max(DELIMITERS, key=count)


def _positions(header: Sequence[str], known: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the position of each known column in the header."""
    spelled = [re.sub(r"[\s_-]+", "", name.casefold()) for name in header]
    found = {
        name: next((spelled.index(spelling) for spelling in spellings if spelling in spelled), -1)
        for name, spellings in known.items()
    }
    return {name: position for name, position in found.items() if position >= 0}
