"""The training curves of a run: `history.csv`, and a plot of it."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from deepfake_seq import atomic
from deepfake_seq.sequence.reports import plots
from deepfake_seq.untrusted import decode_rows

NAME = "history.csv"
COLUMNS = ("member", "epoch", "loss", "val_loss", "val_auc")
PHASE = "phase"
"""Optional column of trainings in several phases: number of the phase, from 1."""

PICTURE = Path("plots", "training.png")

_MAX_BYTES = 1 << 26

_Value = Annotated[float, Meta(gt=-1e6, lt=1e6)]

Histories = list[list[dict[str, float]]]
"""For each network a row per epoch; `val_auc` is NaN if it is undefined."""


class _Row(TypedDict):
    """A row of `history.csv`; an undefined AUC is an empty cell."""

    member: str
    epoch: _Value
    loss: _Value
    val_loss: _Value
    val_auc: _Value | Literal[""]
    phase: NotRequired[Annotated[float, Meta(ge=1, lt=1e6, multiple_of=1)]]


def read_histories(folder: Path) -> Histories:
    """Read `history.csv`; an empty list if there is no such file.

    Raises:
        RunError: The file is damaged; the message names the line.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        return []
    members: dict[str, list[dict[str, float]]] = {}
    for row in decode_rows(path, _Row, COLUMNS, _MAX_BYTES, optional=[PHASE]):
        values: dict[str, Any] = {**row}
        if row["val_auc"] == "":
            values["val_auc"] = math.nan
        members.setdefault(values.pop("member"), []).append(values)
    return list(members.values())


def write(
    folder: Path, histories: Sequence[Sequence[Mapping[str, float]]], best_epochs: Sequence[int]
) -> None:
    """Write the training curves as a table and as a plot, unless the model has no epochs.

    Args:
        folder: Run directory.
        histories: Rows of each network; `epoch` is their first key, and `phase` is optional.
        best_epochs: Epoch of each network whose weights were kept.
    """
    if not histories[0]:
        return
    atomic.write_bytes(folder / NAME, _as_csv(histories).encode())
    (folder / PICTURE).parent.mkdir(exist_ok=True)
    atomic.write_bytes(folder / PICTURE, plots.training_curves(histories, best_epochs))


def _as_csv(histories: Sequence[Sequence[Mapping[str, float]]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["member", *histories[0][0]])
    for number, rows in enumerate(histories):
        for row in rows:
            writer.writerow([number, *(_cell(name, value) for name, value in row.items())])
    return buffer.getvalue()


def _cell(name: str, value: float) -> float | int | str:
    if math.isnan(value):
        return ""
    return int(value) if name in ("epoch", PHASE) else value
