"""How the networks of a run were trained: `history.csv`."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from deepfake_seq.errors import RunError
from deepfake_seq.sequence.untrusted import read_file

NAME = "history.csv"
COLUMNS = ("member", "epoch", "loss", "val_loss", "val_auc")

_MOST_BYTES = 1 << 26
_MOST = 1e6
"""No epoch and no loss is larger, and NaN is not smaller."""

Histories = list[list[dict[str, float]]]


def read_histories(folder: Path) -> Histories:
    """For each network its epochs, as rows; nothing where there is no such file.

    Raises:
        RunError: It is damaged; the message names the line.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        return []
    content = read_file(path, _MOST_BYTES)
    members: dict[str, list[dict[str, float]]] = {}
    try:
        reader = csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"the columns must be {','.join(COLUMNS)}")
        for row in reader:
            figures = {name: float(row[name]) for name in COLUMNS[1:]}
            if not all(abs(figure) < _MOST for figure in figures.values()):
                raise ValueError(f"not what training gives: {list(row.values())}")
            members.setdefault(row["member"], []).append(figures)
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is not in UTF-8: {error}") from error
    except (ValueError, TypeError, csv.Error) as error:
        raise RunError(f"{path}:{reader.line_num}: {error}") from error
    return list(members.values())
