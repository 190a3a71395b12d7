"""Read labels, groups, splits, methods and sources from a CSV file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from deepfake_seq.datasets.items import FAKE, LABEL_NAMES, REAL, UNKNOWN, VideoItem
from deepfake_seq.datasets.lists import Row, Table, abbreviate, read_table
from deepfake_seq.datasets.matching import PathMatch, VideoIndex
from deepfake_seq.datasets.words import BOOLEAN, WORD, read_label
from deepfake_seq.errors import DatasetError

PATH_COLUMNS = (
    "path", "filepath", "videopath", "fullpath", "relativepath", "filename", "file", "video",
    "videoname", "videofile", "name", "clip",
)  # fmt: skip
"""Names of the column with the path; the first with a match is used."""

COLUMNS = {
    "label": ("label", "labels", "class", "isfake", "fake"),
    "group": ("group", "groups"),
    "split": ("split", "splits"),
    "method": ("method", "methods"),
    "source": ("source", "sources"),
}
"""Names of the other columns."""

_KNOWN_COLUMNS = COLUMNS | {name: (name,) for name in PATH_COLUMNS}
_SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
    "": "",
}
_MAX_EXAMPLES = 3


class _Facts(NamedTuple):
    """Content of one row; the defaults apply to a video without a row."""

    label: int = UNKNOWN
    groups: tuple[str, ...] = ()
    split: str = ""
    method: str = ""
    source: str = ""


@dataclass(frozen=True)
class LabelsReport:
    """What was read from a CSV file.

    Attributes:
        path: Path of the file.
        columns: Names of the columns that are used, as the file spells them.
        rows: Number of rows.
        unmatched_rows: Path and line of each row that matches no video: `a.mp4 (line 3)`.
        unmatched_videos: Ids of the videos that no row matches.
        contradictions: Ids of the videos whose folders or lists give the opposite label.
    """

    path: Path
    columns: tuple[str, ...]
    rows: int
    unmatched_rows: tuple[str, ...]
    unmatched_videos: tuple[str, ...]
    contradictions: tuple[str, ...]

    @property
    def notes(self) -> list[str]:
        """Sentences for the user about rows and videos without a match, and contradictions."""
        notes = []
        if self.unmatched_rows:
            notes.append(
                f"{len(self.unmatched_rows):,} of {self.rows:,} rows of {self.path} match no "
                f"video, such as {_examples(self.unmatched_rows)}"
            )
        if self.unmatched_videos:
            notes.append(
                f"{len(self.unmatched_videos):,} videos have no row in {self.path}, such as "
                f"{_examples(self.unmatched_videos)}"
            )
        if self.contradictions:
            notes.append(
                f"{self.path} labels {len(self.contradictions):,} videos the opposite of their "
                f"folders or lists, such as {_examples(self.contradictions)}; 1 means fake, 0 real"
            )
        return notes


def apply_labels(
    items: Sequence[VideoItem], csv_path: Path
) -> tuple[list[VideoItem], LabelsReport]:
    """Replace the labels and other facts of each video by its row in `csv_path`.

    The file has a header with a column for the path (`PATH_COLUMNS`), the label, and optionally
    group (several are separated by `;`), split, method and source (`COLUMNS`); other columns are
    ignored. The spelling of values is described in `docs/datasets.md`, the comparison of paths in
    `VideoIndex`. Labels from folders or the data set's own lists are discarded: a video without a
    row has none of these.

    Returns:
        The videos in the given order, and a report.

    Raises:
        DatasetError: The file cannot be read, lacks a column, has an invalid or ambiguous row or
            rows that contradict each other, or no row matches; the message names the line.
    """
    table = read_table(csv_path, _KNOWN_COLUMNS)
    _check_columns(table)
    facts = _read_facts(table)
    column, matches = _match(table, items)
    rows_by_video = _rows_by_video(matches)
    labelled, contradictions = [], []
    for position, item in enumerate(items):
        numbers = rows_by_video.get(position, [])
        for number in numbers[1:]:
            if facts[number] != facts[numbers[0]]:
                _raise_difference(item, table.rows[numbers[0]], table.rows[number], table, column)
        row = facts[numbers[0]] if numbers else _Facts()
        if {row.label, item.label} == {REAL, FAKE}:
            contradictions.append(f"{item.video_id} ({LABEL_NAMES[row.label]})")
        labelled.append(replace(item, dataset="", **row._asdict()))
    report = LabelsReport(
        csv_path,
        tuple(table.columns[name] for name in (column, *COLUMNS) if name in table.columns),
        len(table.rows),
        tuple(
            f"{row.values[column]} (line {row.line})"
            for row, match in zip(table.rows, matches, strict=True)
            if not match.positions
        ),
        tuple(item.video_id for number, item in enumerate(items) if number not in rows_by_video),
        tuple(contradictions),
    )
    return labelled, report


def _raise_difference(item: VideoItem, first: Row, second: Row, table: Table, column: str) -> None:
    raise DatasetError(
        f"{table.path}:{second.line}: the row for {item.video_id} differs from line {first.line}. "
        f"Keep one of them. Received: {abbreviate(second.values[column])}"
    )


def _match(table: Table, items: Sequence[VideoItem]) -> tuple[str, list[PathMatch]]:
    """Return the column with the paths, and the match of each row."""
    index = VideoIndex(items, table.path)
    columns = [name for name in PATH_COLUMNS if name in table.columns]
    for column in columns:
        matches = [index.find(row.values[column]) for row in table.rows]
        if not any(match.positions for match in matches):
            continue
        for row, match in zip(table.rows, matches, strict=True):
            if not row.values[column]:
                raise DatasetError(
                    f"{table.path}:{row.line}: the column {table.columns[column]} is empty. Give "
                    "the path of a video, or remove the row."
                )
            if not index.is_one_file(match.positions):
                names = [items[position].video_id for position in match.positions]
                candidates = " or ".join(names[:_MAX_EXAMPLES])
                raise DatasetError(
                    f"{table.path}:{row.line}: the path can mean {candidates}. Write more of it. "
                    f"Received: {abbreviate(row.values[column])}"
                )
        return column, matches
    raise DatasetError(
        f"no row of {table.path} matches a video. Write the paths relative to the given folder or "
        f"to the CSV file. Videos are such as {_examples([item.video_id for item in items])}. "
        f"Received: {_examples([row.values[columns[0]] for row in table.rows]) or 'no rows'}"
    )


def _rows_by_video(matches: Sequence[PathMatch]) -> dict[int, list[int]]:
    """Return the numbers of the rows of each video; guesses only if there is no better match."""
    certain: dict[int, list[int]] = defaultdict(list)
    guesses: dict[int, list[int]] = defaultdict(list)
    for number, match in enumerate(matches):
        for position in match.positions:
            (guesses if match.is_guess else certain)[position].append(number)
    return guesses | certain


def _check_columns(table: Table) -> None:
    missing = []
    if not table.columns.keys() & set(PATH_COLUMNS):
        missing.append("path")
    if "label" not in table.columns:
        missing.append("label")
    if missing:
        received = ",".join(table.header)
        raise DatasetError(
            f"{table.path} has no column {' and '.join(missing)}. Add it to the first line. "
            f"Received: {abbreviate(received) if received else 'an empty file'}"
        )


def _read_facts(table: Table) -> list[_Facts]:
    """Decode all rows; labels must be spelled in one way where spellings differ in meaning."""
    first: dict[str, Row] = {}
    facts = []
    for row in table.rows:
        value = read_label(row.values["label"])
        first.setdefault(value.spelling, row)
        facts.append(_read_row(row, value.label, table.path))
    boolean, word = first.get(BOOLEAN), first.get(WORD)
    if boolean and word:
        raise DatasetError(
            f"{table.path}:{boolean.line}: true can mean real or fake, because line {word.line} "
            f"has {abbreviate(word.values['label'])}. Use real and fake in all rows. "
            f"Received: {abbreviate(boolean.values['label'])}"
        )
    return facts


def _read_row(row: Row, label: int | None, path: Path) -> _Facts:
    if label is None:
        raise DatasetError(
            f"{path}:{row.line}: unknown label. Use fake (or 1) and real (or 0). "
            f"Received: {abbreviate(row.values['label'])}"
        )
    split = row.values.get("split", "")
    if split.casefold() not in _SPLITS:
        raise DatasetError(
            f"{path}:{row.line}: unknown split. Use train, validation or test. "
            f"Received: {abbreviate(split)}"
        )
    names = row.values.get("group", "").split(";")
    groups = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    return _Facts(
        label,
        groups,
        _SPLITS[split.casefold()],
        row.values.get("method", ""),
        row.values.get("source", ""),
    )


def _examples(values: Sequence[str]) -> str:
    shown = ", ".join(abbreviate(value) for value in values[:_MAX_EXAMPLES])
    return shown + (" …" if len(values) > _MAX_EXAMPLES else "")
