"""Plot of a sweep: validation AUC over each searched setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepfake_seq.sequence.reports.plots import (
    FAKE_COLOUR,
    INK,
    REAL_COLOUR,
    canvas,
    legend_below,
    png,
)
from deepfake_seq.sequence.sweep.space import DIMENSIONS, Range, Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from optuna.trial import FrozenTrial

_PANEL_INCHES = (2.9, 3.4)
_MAX_COLUMNS = 4
_MARKER: dict[str, Any] = {"marker": "o", "markersize": 5, "linestyle": ""}
_MEAN: dict[str, Any] = {"marker": "_", "markersize": 18, "linestyle": "", "color": INK}


def value_by_setting(ranked: Sequence[FrozenTrial], space: Space) -> bytes:
    """Plot the validation AUC of every setting over each searched dimension, as a PNG.

    Args:
        ranked: The settings, the best first.
        space: The search space; at least one dimension has several values.
    """
    names, trials = space.searched, [trial.user_attrs for trial in ranked]
    columns = min(len(names), _MAX_COLUMNS)
    lines = -(-len(names) // columns)
    # A single panel is wide enough for the legend.
    figure = canvas((max(_PANEL_INCHES[0] * columns, 5.0), _PANEL_INCHES[1] * lines))
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    for axes, name in zip(panels.flat, names, strict=False):
        _panel(axes, trials, name, space)
    for axes in panels[:, 0]:
        axes.set_ylabel("validation AUC")
    # From 0.9 or lower to 1, so that small differences look small.
    lowest = min(0.9, *(trial["auc"] - (trial["auc_sd"] or 0.0) for trial in trials))
    margin = 0.05 * (1.0 - lowest)
    panels[0, 0].set_ylim(lowest - margin, 1.0 + margin)
    spread = "" if trials[0]["auc_sd"] is None else " (± standard deviation over seeds)"
    keys = [
        (f"a setting{spread}", {**_MARKER, "color": REAL_COLOUR}),
        ("the best", {**_MARKER, "color": FAKE_COLOUR}),
    ]
    if any(not isinstance(space.values[name], Range) for name in names):
        keys.append(("mean by value", _MEAN))
    legend_below(figure, keys)
    return png(figure)


def _panel(axes: Axes, trials: Sequence[dict[str, Any]], name: str, space: Space) -> None:
    """Plot one dimension, without the settings whose model ignores it."""
    affected = [trial for trial in trials if name in trial["setting"]]
    aucs = np.array([trial["auc"] for trial in affected])
    values = space.values[name]
    if isinstance(values, Range):
        places = np.array([float(trial["setting"][name]) for trial in affected])
        axes.set_xscale("log" if DIMENSIONS[name].log else "linear")
    else:
        places = np.array([float(values.index(trial["setting"][name])) for trial in affected])
        labels = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
        axes.set_xticks(range(len(values)), labels)
        axes.set_xlim(-0.5, len(values) - 0.5)
        for place in np.unique(places):
            same = np.flatnonzero(places == place)
            axes.plot(place, aucs[same].mean(), **_MEAN)
            # Next to each other, so that no marker hides another.
            places[same] += 0.5 * ((np.arange(len(same)) + 0.5) / len(same) - 0.5)
    for place, trial in reversed([*zip(places, affected, strict=True)]):
        best = trial is trials[0]
        colour, alpha = (FAKE_COLOUR, 1.0) if best else (REAL_COLOUR, 0.6)
        axes.errorbar(
            place, trial["auc"], trial["auc_sd"], color=colour, alpha=alpha, linewidth=1, **_MARKER
        )
    axes.set_xlabel(name.replace("_", " "))
    axes.spines[["top", "right"]].set_visible(False)
