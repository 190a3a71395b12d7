"""The files of a stress test: table, plot and page."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from deepfake_seq.sequence.evaluation.robustness import COLUMNS, rows
from deepfake_seq.sequence.reports import html, plots
from deepfake_seq.sequence.reports.result_files import write_results

FOLDER = "stress"
"""Name of the folder in a run."""

_BASE = "stress"
PAGE = f"{_BASE}.html"

_PER_ROW = 4
_LINES = {
    "auc": ("AUC", plots.INK, "-", "o"),
    "fpr": ("FPR", plots.FAKE_COLOUR, "--", "s"),
    "tpr": ("TPR", plots.REAL_COLOUR, ":", "^"),
}
_APART = 0.09
"""Distance between the intervals of two lines at one level."""

_TITLES = {
    "saturation": "saturation (factor)",
    "contrast": "contrast (factor)",
    "blocks": "grey blocks (number)",
    "noise": "noise (variance)",
    "blur": "blur (kernel, pixels)",
    "pixelation": "pixelation (factor)",
    "h264": "H.264 (CRF)",
    "face_pixels": "face (pixels)",
    "double_h264": "H.264 twice (CRF)",
    "jpeg": "JPEG (quality)",
    "half_rate": "half frame rate",
}


def write(folder: Path, summary: Mapping[str, Any]) -> dict[str, str]:
    """Write the results of a stress test as JSON, CSV, PNG and HTML.

    Args:
        folder: Folder to write to.
        summary: Results; see `stress.summary`.

    Returns:
        Paths of the files by kind.

    Raises:
        RunError: A file cannot be written.
    """
    picture = plot(summary["results"])
    page = html.render(
        "stress.html.j2",
        summary=summary,
        tables={split: rows(results) for split, results in summary["results"].items()},
        picture=picture,
    )
    table = _csv(summary["results"])
    return write_results(folder / _BASE, summary, table=table, plot=picture, report=page)


def plot(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> bytes:
    """Plot AUC, false- and true-positive rate against the level of each kind of distortion.

    Args:
        results: Results of each split, the unchanged clips first.
    """
    split = "validation" if "validation" in results else "test"
    unchanged, *distorted = results[split]
    kinds = [(kind, list(levels)) for kind, levels in groupby(distorted, lambda row: row["kind"])]
    height = max(-(-len(kinds) // _PER_ROW), 1)
    figure = plots.canvas((2.4 * _PER_ROW, 2.2 * height + 0.4))
    axes = figure.subplots(height, _PER_ROW, sharey=True, squeeze=False).ravel()
    for place in axes[len(kinds) :]:
        place.set_axis_off()
    for place, (kind, levels) in zip(axes, kinds, strict=False):
        _draw_kind(place, [unchanged, *levels])
        place.set_title(_TITLES.get(kind, kind))
    keys: list[tuple[str, dict[str, Any]]] = [
        (name, {"color": colour, "linestyle": style, "marker": marker, "markersize": 4})
        for name, colour, style, marker in _LINES.values()
    ]
    plots.legend_below(figure, keys)
    return plots.png(figure)


def _draw_kind(axes: Any, levels: Sequence[Mapping[str, Any]]) -> None:
    places = range(len(levels))
    for number, (key, (_, colour, style, marker)) in enumerate(_LINES.items()):
        known = [place for place in places if levels[place][key] is not None]
        values = [levels[place][key] for place in known]
        shifted = [place + (number - 1) * _APART for place in known]
        axes.plot(shifted, values, color=colour, linestyle=style, marker=marker, markersize=4)
        for place, shift in zip(known, shifted, strict=True):
            span = levels[place]["intervals"][key]
            if span:
                axes.vlines(shift, *span, color=colour, linewidth=1, alpha=0.5)
    names = ["–", *("yes" if row["level"] is None else f"{row['level']:g}" for row in levels[1:])]
    axes.set(ylim=(-0.03, 1.03), xticks=list(places))
    axes.set_xticklabels(names, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _csv(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    ends = [f"{key}_{end}" for key in COLUMNS.values() for end in ("low", "high")]
    head = ["split", "kind", "level", "real", "fake", "groups"]
    writer.writerow([*head, *COLUMNS.values(), *ends])
    for split, distorted in results.items():
        for row in distorted:
            spans = [row["intervals"][key] or (None, None) for key in COLUMNS.values()]
            counts = [row["clips"]["real"], row["clips"]["fake"], row["groups"]]
            values = [row[key] for key in COLUMNS.values()]
            flat = [end for span in spans for end in span]
            writer.writerow([split, row["kind"], row["level"], *counts, *values, *flat])
    return buffer.getvalue().encode()
