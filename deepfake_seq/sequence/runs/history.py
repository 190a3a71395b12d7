"""How the networks of a run were trained: `history.csv`, and a picture of it."""

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
"""A further column of trainings in several phases, which count from 1."""

PICTURE = Path("plots", "training.png")

_MAX_BYTES = 1 << 26

_Value = Annotated[float, Meta(gt=-1e6, lt=1e6)]

Histories = list[list[dict[str, float]]]


class _Row(TypedDict):
    """A line of the file; an AUC that there was none of is an empty cell."""

    member: str
    epoch: _Value
    loss: _Value
    val_loss: _Value
    val_auc: _Value | Literal[""]
    phase: NotRequired[Annotated[float, Meta(ge=1, lt=1e6, multiple_of=1)]]


def read_histories(folder: Path) -> Histories:
    """For each network its epochs, as rows; nothing where there is no such file.

    An AUC that there was none of is NaN.

    Raises:
        RunError: It is damaged; the message names the line.
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
    atomic.write_bytes(folder / PICTURE, plots.training_curves(histories, best_epochs))


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
