"""Read labels, groups, splits, methods and sources from a CSV file."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from deepfake_seq.datasets.items import FAKE, REAL, UNKNOWN, VideoItem
from deepfake_seq.errors import DatasetError

_LABELS = {"fake": FAKE, "1": FAKE, "real": REAL, "0": REAL, "": UNKNOWN}
_SPLITS = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "test": "test",
    "": "",
}


class _Row(NamedTuple):
    """Content of one row; the defaults apply to a video without a row."""

    label: int = UNKNOWN
    groups: tuple[str, ...] = ()
    split: str = ""
    method: str = ""
    source: str = ""


def apply_labels(items: Sequence[VideoItem], csv_path: Path) -> tuple[list[VideoItem], list[str]]:
    """Replace the labels and other facts of each video by its row in `csv_path`.

    The file has a header with the columns `path` and `label` (`fake`/`1`, `real`/`0`), and
    optionally `group` (several are separated by `;`), `split` (`train`, `validation`, `test`),
    `method` and `source`; other columns are ignored. A path is absolute, or relative to the root of
    the search or to the CSV file. Labels from folders or the data set's own lists are discarded: a
    video without a row has none of these.

    Returns:
        The videos in the given order, and the paths in the CSV that match no video.

    Raises:
        DatasetError: The file cannot be read, lacks a column, or has an invalid row; the message
            names the line.
    """
    rows = _read(csv_path)
    unused = dict.fromkeys(rows)
    labelled = []
    for item in items:
        matches = {key: rows[key] for key in _keys(item, csv_path) if key in rows}
        for key in matches:
            unused.pop(key, None)
        if len(set(matches.values())) > 1:
            raise DatasetError(
                f"{csv_path} has several rows for {item.video_id} that differ: "
                f"{' and '.join(matches)}. Keep one of them."
            )
        row = next(iter(matches.values()), _Row())
        labelled.append(replace(item, dataset="", **row._asdict()))
    return labelled, list(unused)


def _keys(item: VideoItem, csv_path: Path) -> list[str]:
    absolute = item.path.absolute()
    keys = [item.video_id, str(absolute), str(item.path)]
    keys.append(Path(os.path.relpath(absolute, csv_path.absolute().parent)).as_posix())
    return list(dict.fromkeys(keys))


def _read(csv_path: Path) -> dict[str, _Row]:
    try:
        with csv_path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"path", "label"} - set(reader.fieldnames or ())
            if missing:
                raise DatasetError(
                    f"{csv_path} has no column {' and '.join(sorted(missing))}. Add it. "
                    f"Received: {','.join(reader.fieldnames or ()) or 'an empty file'}"
                )
            rows: dict[str, _Row] = {}
            for row in reader:
                path = os.path.normpath((row["path"] or "").strip())
                parsed = _parse(row, f"{csv_path}:{reader.line_num}")
                if rows.setdefault(path, parsed) != parsed:
                    raise DatasetError(
                        f"{csv_path}:{reader.line_num}: an earlier row for {path} differs. "
                        "Keep one of them."
                    )
            return rows
    except OSError as error:
        raise DatasetError(f"cannot read {csv_path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"{csv_path} is not a CSV file in UTF-8: {error}. Save it as UTF-8."
        ) from error


def _parse(row: dict[str, str | None], where: str) -> _Row:
    label = (row["label"] or "").strip().lower()
    if label not in _LABELS:
        raise DatasetError(
            f"{where}: unknown label. Use fake (or 1) and real (or 0). Received: {row['label']!r}"
        )
    split = (row.get("split") or "").strip().lower()
    if split not in _SPLITS:
        raise DatasetError(
            f"{where}: unknown split. Use train, validation or test. Received: {row['split']!r}"
        )
    names = (row.get("group") or "").split(";")
    groups = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    method, source = ((row.get(name) or "").strip() for name in ("method", "source"))
    return _Row(_LABELS[label], groups, _SPLITS[split], method, source)
