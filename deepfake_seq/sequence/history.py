"""How the networks of a run were trained: `history.csv`, and a picture of it."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from deepfake_seq import atomic
from deepfake_seq.errors import RunError
from deepfake_seq.sequence import figures
from deepfake_seq.untrusted import read_file

NAME = "history.csv"
COLUMNS = ("member", "epoch", "loss", "val_loss", "val_auc")
PHASE = "phase"
"""A further column of trainings in several phases, which count from 1."""

PICTURE = Path("plots", "training.png")

_MOST_BYTES = 1 << 26
_MOST = 1e6
"""No epoch and no loss is larger, and NaN is not smaller."""

Histories = list[list[dict[str, float]]]


def read_histories(folder: Path) -> Histories:
    """For each network its epochs, as rows; nothing where there is no such file.

    An AUC that there was none of is NaN.

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
        names = list(reader.fieldnames or ())
        phased = names.count(PHASE) == 1
        if tuple(name for name in names if not phased or name != PHASE) != COLUMNS:
            raise ValueError(f"the columns must be {','.join(COLUMNS)}, and {PHASE} if need be")
        for row in reader:
            members.setdefault(row["member"], []).append(_figures(row))
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is not in UTF-8: {error}") from error
    except (ValueError, TypeError, csv.Error) as error:
        raise RunError(f"{path}:{reader.line_num}: {error}") from error
    return list(members.values())


def write(
    folder: Path, histories: Sequence[Sequence[Mapping[str, float]]], best_epochs: Sequence[int]
) -> None:
    """Write the training curves as a table and as a picture; nothing for what has no epochs.

    Args:
        folder: The run.
        histories: For each network its rows, with `epoch` first and perhaps with `phase`.
        best_epochs: The kept `epoch` of each network.
    """
    if not histories[0]:
        return
    atomic.write_bytes(folder / NAME, _as_csv(histories).encode())
    (folder / PICTURE).parent.mkdir(exist_ok=True)
    atomic.write_bytes(folder / PICTURE, figures.training_curves(histories, best_epochs))


def _figures(row: Mapping[str, str]) -> dict[str, float]:
    """What a line says; raises a ValueError or a TypeError where that cannot be."""
    told = {name: text for name, text in row.items() if name != "member"}
    if told["val_auc"] == "":
        del told["val_auc"]
    read = {name: float(text) for name, text in told.items()}
    phase = read.get(PHASE, 1.0)
    if not all(abs(figure) < _MOST for figure in read.values()):
        raise ValueError(f"not what training gives: {list(row.values())}")
    if phase < 1 or not phase.is_integer():
        raise ValueError(f"a phase is a whole number from 1. Received: {row[PHASE]!r}")
    return {"val_auc": math.nan, **read}


def _as_csv(histories: Sequence[Sequence[Mapping[str, float]]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["member", *histories[0][0]])
    for number, rows in enumerate(histories):
        for row in rows:
            writer.writerow([number, *(_cell(name, figure) for name, figure in row.items())])
    return buffer.getvalue()


def _cell(name: str, figure: float) -> float | int | str:
    if math.isnan(figure):
        return ""
    return int(figure) if name in ("epoch", PHASE) else figure
