"""A picture of a sweep: how well settings do by each value that was searched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepfake_seq.sequence.figures import FAKE_COLOUR, INK, REAL_COLOUR, canvas, legend_below, png
from deepfake_seq.sequence.space import DIMENSIONS, Range, Space
from deepfake_seq.sequence.trials import Tried

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL = (2.9, 3.4)
_MOST_IN_A_ROW = 4


def value_by_setting(ranked: Sequence[Tried], space: Space) -> bytes:
    """The validation AUC of every setting over each searched dimension, as a PNG.

    Args:
        ranked: The settings, the best first.
        space: What was searched: one dimension or more.
    """
    names = space.searched
    columns = min(len(names), _MOST_IN_A_ROW)
    lines = -(-len(names) // columns)
    # A single panel is wide enough for the legend.
    figure = canvas((max(_PANEL[0] * columns, 5.0), _PANEL[1] * lines))
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for number, axes in enumerate(panels.flat):
        if number >= len(names):
            axes.set_visible(False)
            continue
        _panel(axes, ranked, names[number], space)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel("validation AUC")
    # No AUC is above 1, and differences smaller than this are not worth a magnifying glass.
    lowest = min(0.9, *(own.mean - (own.spread or 0.0) for own in ranked))
    margin = 0.05 * (1.0 - lowest)
    panels[0, 0].set_ylim(lowest - margin, 1.0 + margin)
    dot = {"marker": "o", "markersize": 5, "linestyle": ""}
    mean = {"color": INK, "marker": "_", "markersize": 16, "linestyle": ""}
    spread = any(own.spread is not None for own in ranked)
    keys = [
        (
            "a setting (± spread over seeds)" if spread else "a setting",
            {**dot, "color": REAL_COLOUR},
        ),
        ("the best", {**dot, "color": FAKE_COLOUR}),
    ]
    if any(not isinstance(space.values[name], Range) for name in names):
        keys.append(("mean by value", mean))
    legend_below(figure, keys)
    return png(figure)


def _panel(axes: Axes, ranked: Sequence[Tried], name: str, space: Space) -> None:
    own = [tried for tried in ranked if name in tried.setting]
    values = space.values[name]
    if isinstance(values, Range):
        places = [float(tried.setting[name]) for tried in own]
        if DIMENSIONS[name].log:
            axes.set_xscale("log")
        shown = places
    else:
        places = [float(values.index(tried.setting[name])) for tried in own]
        axes.set_xticks(
            range(len(values)),
            [f"{value:g}" if isinstance(value, float) else str(value) for value in values],
        )
        axes.set_xlim(-0.5, len(values) - 0.5)
        for place in sorted(set(places)):
            mean = np.mean([t.mean for t, at in zip(own, places, strict=True) if at == place])
            axes.plot(place, mean, marker="_", markersize=26, color=INK, zorder=2)
        shown = _apart(places)
    for number in reversed(range(len(own))):
        tried = own[number]
        best = tried is ranked[0]
        axes.errorbar(
            shown[number],
            tried.mean,
            yerr=tried.spread,
            marker="o",
            markersize=5,
            linewidth=1,
            color=FAKE_COLOUR if best else REAL_COLOUR,
            alpha=1.0 if best else 0.6,
            zorder=4 if best else 3,
        )
    axes.set_xlabel(name.replace("_", " "))


def _apart(places: Sequence[float]) -> list[float]:
    """The same places, those of one value side by side so that none hides another."""
    shown = []
    for number, place in enumerate(places):
        rank, count = places[:number].count(place), places.count(place)
        shown.append(place + 0.5 * ((rank + 0.5) / count - 0.5))
    return shown
