"""The files of a matrix of runs and stores: JSON, CSV, heat map and page."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepfake_seq.sequence.reports import html, plots
from deepfake_seq.sequence.reports.result_files import write_results
from deepfake_seq.sequence.reports.tables import Rows, format_metric

_METRICS = ("auc", "tpr", "fpr", "ece")


def write(folder: Path, report: Mapping[str, Any], rows: Rows) -> dict[str, str]:
    """Write the matrix as JSON, CSV, PNG and HTML.

    Args:
        folder: Folder to write to.
        report: The matrix as plain JSON values.
        rows: The matrix as a table, the header first.

    Returns:
        Paths of the files by kind.

    Raises:
        RunError: A file cannot be written.
    """
    picture = heat_map(report["cells"])
    page = html.render(
        "matrix.html.j2", cells=report["cells"], tests=report["tests"], rows=rows, picture=picture
    )
    table = _csv(report["cells"])
    return write_results(folder / "matrix", report, table=table, plot=picture, report=page)


def heat_map(cells: Sequence[Mapping[str, Any]]) -> bytes:
    """Plot the AUC of each run on each store: darker is higher, with the number in each cell."""
    runs = list(dict.fromkeys(cell["run"] for cell in cells))
    stores = list(dict.fromkeys(cell["store"] for cell in cells))
    values = np.full((len(runs), len(stores)), np.nan)
    texts = {}
    for cell in cells:
        place = runs.index(cell["run"]), stores.index(cell["store"])
        value = cell["metrics"] and cell["metrics"]["auc"]
        values[place] = np.nan if value is None else value
        texts[place] = "refused" if cell["refused"] else format_metric(value)
        if cell["own"]:
            texts[place] += "\n(own)"
    figure = plots.canvas((2.0 + 1.5 * len(stores), 1.2 + 0.7 * len(runs)))
    axes = figure.subplots()
    axes.imshow(values, cmap="Greys", vmin=0.4, vmax=1.15, aspect="auto")
    for (row, column), text in texts.items():
        dark = values[row, column] > 0.8
        axes.text(
            *(column, row, text),
            ha="center",
            va="center",
            fontsize=9,
            color="white" if dark else plots.INK,
        )
    axes.set(xticks=range(len(stores)), yticks=range(len(runs)), title="AUC")
    axes.set_xticklabels(stores, fontsize=9)
    axes.set_yticklabels(runs, fontsize=9)
    axes.set(xlabel="tested on", ylabel="trained run")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return plots.png(figure)


def _csv(cells: Sequence[Mapping[str, Any]]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    ends = [f"{key}_{end}" for key in ("auc", "tpr", "fpr") for end in ("low", "high")]
    head = ["run", "store", "own", "method", "real", "fake", "groups", *_METRICS, *ends, "refused"]
    writer.writerow(head)
    for cell in cells:
        start, metrics = [cell["run"], cell["store"], int(cell["own"])], cell["metrics"]
        if metrics is None:
            writer.writerow([*start, *[""] * (len(head) - 4), cell["refused"]])
            continue
        spans = [metrics["intervals"][key] or ("", "") for key in ("auc", "tpr", "fpr")]
        counts = [metrics["clips"]["real"], metrics["clips"]["fake"], metrics["groups"]]
        values = [metrics[key] for key in _METRICS]
        writer.writerow(
            [*start, "", *counts, *values, *[end for span in spans for end in span], ""]
        )
        for method in cell["methods"]:
            counts = [metrics["clips"]["real"], method["clips"], ""]
            values = [method["auc"], method["recall"], metrics["fpr"], ""]
            writer.writerow([*start, method["name"], *counts, *values, *[""] * len(ends), ""])
    return buffer.getvalue().encode("utf-8", "surrogatepass")
