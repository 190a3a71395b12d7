"""Plot the number of videos of each class; needs no display."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from deepfake_seq.datasets.survey import ClassCount

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"real": "#4477aa", "fake": "#ee6677", "unknown": "#aaaaaa"}
_INK = "#333333"
_GAP = 0.6  # between rows, as a multiple of a bar's height
_BAR_INCHES = 0.27


def draw_classes(panels: Mapping[str, Sequence[ClassCount]], kind: str = "png") -> bytes:
    """Draw bars with the number of videos of each class.

    Args:
        panels: Rows of each panel by its title (`split`, `method`); panels are drawn side by side.
        kind: File format: `png`, `jpg` or `jpeg`.

    Returns:
        Content of the file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    height = max(sum(len(_bars(row)) + _GAP for row in rows) for rows in panels.values())
    size = (4.8 * len(panels), 1.1 + _BAR_INCHES * height)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, rows) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        _draw_panel(axes, rows)
        axes.set_ylim(height - _GAP, -0.8)  # first row on top; bars equally thick in all panels
        axes.set_title(f"Videos by {title}", fontsize=11, color=_INK)
    drawn = {name for rows in panels.values() for row in rows for name in _bars(row)}
    names = [name for name in _COLOURS if name in drawn]
    figure.legend(
        handles=[Patch(color=_COLOURS[name], label=name) for name in names],
        loc="outside lower center",
        ncols=len(names),
        frameon=False,
        fontsize=10,
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=200)
    return buffer.getvalue()


def _draw_panel(axes: Axes, rows: Sequence[ClassCount]) -> None:
    position, ticks = 0.0, []
    for row in rows:
        bars = _bars(row)
        ticks.append(position + (len(bars) - 1) / 2)
        for name, count in bars.items():
            bar = axes.barh(position, count, height=0.86, color=_COLOURS[name])
            axes.bar_label(bar, labels=[f"{count:,}"], padding=3, fontsize=9, color=_INK)
            position += 1
        position += _GAP
    axes.set_yticks(ticks, [row.name for row in rows], fontsize=10, parse_math=False)
    axes.margins(x=0.16)
    axes.tick_params(left=False, bottom=False, labelbottom=False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set(color=_INK, bounds=(-0.6, position - _GAP - 0.4))


def _bars(row: ClassCount) -> dict[str, int]:
    """Return the counts of a row that are not zero, in a fixed order."""
    counts = {name: getattr(row, name) for name in _COLOURS}
    return {name: count for name, count in counts.items() if count}
