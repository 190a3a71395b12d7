"""Labels, groups, splits and methods from a CSV file."""

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
    """What one row says of its video; without arguments, what is known without a row."""

    label: int = UNKNOWN
    groups: tuple[str, ...] = ()
    split: str = ""
    method: str = ""


def apply_labels(items: Sequence[VideoItem], csv_path: Path) -> tuple[list[VideoItem], list[str]]:
    """Give each video what its row in `csv_path` says, and nothing else.

    The file has a header. `path` and `label` (`fake`/`1`, `real`/`0`) are needed; `group` (several
    are separated by `;`), `split` (`train`, `validation`, `test`) and `method` may be there; other
    columns are left alone. A path is relative to the root of the search or to the CSV file, or
    absolute. What folders or a data set's own lists say is forgotten: videos without a row become
    unknown.

    Returns:
        The videos in their order, and the paths in the CSV that no video matches.

    Raises:
        DatasetError: The file cannot be read, lacks a column, or has a row that makes no sense; the
            message names the line.
    """
    rows = _read(csv_path)
    unused = dict.fromkeys(rows)
    labelled = []
    for item in items:
        own = {key: rows[key] for key in _keys(item, csv_path) if key in rows}
        for key in own:
            unused.pop(key, None)
        if len(set(own.values())) > 1:
            raise DatasetError(
                f"{csv_path} says different things of {item.video_id}, as {' and as '.join(own)}. "
                "Leave one row."
            )
        row = next(iter(own.values()), _Row())
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
                    f"{csv_path} has no column {' and '.join(sorted(missing))}. "
                    f"Received: {','.join(reader.fieldnames or ()) or 'an empty file'}"
                )
            rows: dict[str, _Row] = {}
            for row in reader:
                path = os.path.normpath((row["path"] or "").strip())
                parsed = _parse(row, f"{csv_path}:{reader.line_num}")
                if rows.setdefault(path, parsed) != parsed:
                    raise DatasetError(
                        f"{csv_path}:{reader.line_num}: {path} stands there twice and differs. "
                        "Leave one row."
                    )
            return rows
    except OSError as error:
        raise DatasetError(f"cannot read {csv_path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{csv_path} is not a CSV file in UTF-8: {error}") from error


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
    method = (row.get("method") or "").strip()
    return _Row(_LABELS[label], groups, _SPLITS[split], method)
