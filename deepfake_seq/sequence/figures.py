"""Pictures of how a model does and how it was trained: PNGs, drawn without a display."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.sequence.metrics import Labels, Scores
from deepfake_seq.sequence.weighted import BINS, bin_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REAL_COLOUR, FAKE_COLOUR, INK, PALE = "#4477aa", "#ee6677", "#333333", "#dddddd"
_DPI = 150
_SQUARE = (4.4, 4.2)
_WIDE = (8.8, 3.6)

Band = tuple[Scores, Scores, Scores]
"""(M,) false-positive rates, and the lowest and highest true-positive rate that each may have."""


def roc(labels: Labels, scores: Scores, threshold: float, title: str, band: Band | None) -> bytes:
    """The ROC curve with the operating point.

    Args:
        labels: (N,) of both classes.
        scores: (N,); higher means more likely fake.
        threshold: Scores of at least this are called fake.
        title: Of the picture: the AUC and its interval.
        band: How far the curve may be trusted, or None.
    """
    from sklearn.metrics import roc_curve

    fpr, tpr, _ = roc_curve(labels, scores)
    figure, axes = _figure(_SQUARE)
    if band:
        axes.fill_between(*band, color=REAL_COLOUR, alpha=0.18, linewidth=0, label="95 % interval")
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":", label="chance")
    axes.plot(fpr, tpr, color=REAL_COLOUR, linewidth=1.8, solid_joinstyle="miter", clip_on=False)
    calls = scores >= threshold
    _point(axes, calls[labels == REAL].mean(), calls[labels == FAKE].mean(), threshold)
    axes.set(xlabel="false-positive rate", ylabel="true-positive rate", title=title)
    _unit_square(axes)
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    return png(figure)


def precision_recall(labels: Labels, scores: Scores, threshold: float, title: str) -> bytes:
    """Precision and recall of fakes at all thresholds, with what guessing would give."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(labels, scores)
    figure, axes = _figure(_SQUARE)
    share = float((labels == FAKE).mean())
    axes.axhline(
        share, color=INK, linewidth=0.8, linestyle=":", label=f"share of fakes: {share:.0%}"
    )
    axes.step(recall, precision, where="post", color=REAL_COLOUR, linewidth=1.8, clip_on=False)
    calls = scores >= threshold
    if calls.any():
        _point(axes, calls[labels == FAKE].mean(), (labels[calls] == FAKE).mean(), threshold)
    axes.set(xlabel="recall of fakes", ylabel="precision")
    axes.set_title(title)
    _unit_square(axes)
    axes.legend(loc="lower left", frameon=False, fontsize=9)
    return png(figure)


def confusion(counts: Mapping[str, int]) -> bytes:
    """What became of the clips of each class: counts, and shares of the row.

    Args:
        counts: `real_called_real` … as in the metrics.
    """
    classes = ("real", "fake")
    table = np.array([[counts[f"{own}_called_{call}"] for call in classes] for own in classes])
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    figure, axes = _figure(_SQUARE)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        colour = "white" if shares[row, column] > 0.55 else INK
        text = f"{count:,}\n{shares[row, column]:.1%}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=14)
    axes.set_xticks([0, 1], [f"called {name}" for name in classes])
    axes.set_yticks([0, 1], classes, rotation=90, va="center")
    axes.set_title(f"{table.sum():,} clips")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return png(figure)


def reliability(labels: Labels, scores: Scores, title: str) -> bytes:
    """How often clips are fake by what their score says, with both classes weighed alike.

    Below, how many clips each bin holds.
    """
    bins = bin_of(scores)
    alike = 0.5 / np.bincount(labels, minlength=2)[labels]
    weight, fakes, mean = (
        np.bincount(bins, alike * values, BINS)
        for values in (np.ones(len(labels)), labels == FAKE, scores)
    )
    full = weight > 0
    figure = canvas(_SQUARE)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
    upper.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    upper.plot(
        mean[full] / weight[full],
        fakes[full] / weight[full],
        color=REAL_COLOUR,
        marker="o",
        markersize=5,
        linewidth=1.2,
        clip_on=False,
    )
    upper.set(ylabel="observed share of fakes", ylim=(0, 1), title=title)
    edges = np.arange(BINS + 1) / BINS
    lower.stairs(np.bincount(bins, minlength=BINS), edges, fill=True, color=REAL_COLOUR, alpha=0.6)
    lower.set(xlabel="score: calibrated probability of fake", ylabel="clips", xlim=(0, 1))
    _whole_numbers(lower.yaxis, 3)
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    figure.align_ylabels()
    return png(figure)


def histogram(labels: Labels, scores: Scores, threshold: float, band: tuple[float, float]) -> bytes:
    """The scores of each class, with the threshold and the band of doubt."""
    figure, axes = _figure(_WIDE)
    edges = np.linspace(0, 1, 31)
    if band[0] < band[1]:
        low, high = np.clip(band, 0, 1)
        axes.axvspan(low, high, color=PALE, linewidth=0, label="in doubt")
    for name, label, colour in (("real", REAL, REAL_COLOUR), ("fake", FAKE, FAKE_COLOUR)):
        own = scores[labels == label]
        counts = np.histogram(own, edges)[0]
        legend = f"{name} ({len(own):,})"
        axes.stairs(counts, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(counts, edges, color=colour, linewidth=1.6, label=legend)
    axes.axvline(
        min(threshold, 1.0),
        color=INK,
        linewidth=1.2,
        linestyle="--",
        label=f"threshold {threshold:.3f}",
    )
    axes.set(xlabel="score: calibrated probability of fake", ylabel="clips", xlim=(0, 1))
    axes.margins(y=0.08)
    axes.set_ylim(bottom=0)
    _whole_numbers(axes.yaxis, 5)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return png(figure)


def training_curves(
    histories: Sequence[Sequence[Mapping[str, float]]], best_epochs: Sequence[int]
) -> bytes:
    """Loss and validation AUC by epoch, with the epochs whose weights were kept.

    Args:
        histories: For each network rows with `epoch`, `loss`, `val_loss` and `val_auc` (NaN where
            there is none); perhaps with `phase`, whose beginnings are marked.
        best_epochs: The kept `epoch` of each network.
    """
    figure = canvas(_WIDE)
    left, right = figure.subplots(1, 2)
    thin = {"linewidth": 1.6 if len(histories) == 1 else 1.0, "alpha": max(0.3, 1 / len(histories))}
    for rows, best in zip(histories, best_epochs, strict=True):
        epochs = [row["epoch"] for row in rows]
        own = {**thin, "marker": "o" if len(rows) < 3 else None}
        kept = [row for row in rows if row["epoch"] == best]
        for axes, name, colour in (
            (left, "loss", REAL_COLOUR),
            (left, "val_loss", FAKE_COLOUR),
            (right, "val_auc", FAKE_COLOUR),
        ):
            axes.plot(epochs, [row[name] for row in rows], color=colour, **own)
            if name != "loss":
                axes.plot(
                    [row["epoch"] for row in kept],
                    [row[name] for row in kept],
                    color=INK,
                    marker="o",
                    markersize=5,
                    linestyle="",
                    zorder=3,
                )
    left.set(title="Loss", xlabel="epoch", ylim=(0, None))
    right.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
    right.set(title="AUC on validation clips", xlabel="epoch", ylim=(-0.02, 1.02))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        _whole_numbers(axes.xaxis, 8)
        _mark_phases(axes, histories)
    plural = "s" if len(histories) > 1 else ""
    keys: list[tuple[str, dict[str, Any]]] = [
        ("training", {"color": REAL_COLOUR}),
        ("validation", {"color": FAKE_COLOUR}),
        (f"kept epoch{plural}", {"color": INK, "marker": "o", "linestyle": "", "markersize": 5}),
        ("chance", {"color": INK, "linestyle": ":", "linewidth": 0.8}),
    ]
    legend_below(figure, keys)
    return png(figure)


def _mark_phases(axes: Axes, histories: Sequence[Sequence[Mapping[str, float]]]) -> None:
    """A line where another phase begins."""
    begins = {
        (after["epoch"] - 0.5, int(after["phase"]))
        for rows in histories
        for before, after in pairwise(rows)
        if before.get("phase", 1) != after.get("phase", 1)
    }
    for epoch, phase in sorted(begins):
        axes.axvline(epoch, color=INK, linewidth=0.8, linestyle="--", alpha=0.6)
        axes.text(
            epoch,
            0.98,
            f" phase {phase}",
            transform=axes.get_xaxis_transform(),
            va="top",
            fontsize=8,
            color=INK,
        )


def legend_below(figure: Figure, keys: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """One legend for all of the picture: names, and how each is drawn."""
    from matplotlib.lines import Line2D

    figure.legend(
        handles=[Line2D([], [], label=name, **style) for name, style in keys],
        loc="outside lower center",
        ncols=len(keys),
        frameon=False,
        fontsize=9,
    )


def _point(axes: Axes, x: float, y: float, threshold: float) -> None:
    """The operating point, drawn whole even where it lies on the frame."""
    axes.plot(
        x,
        y,
        marker="o",
        markersize=8,
        color=FAKE_COLOUR,
        linestyle="",
        markeredgecolor="white",
        label=f"threshold {threshold:.3f}",
        clip_on=False,
        zorder=4,
    )


def _unit_square(axes: Axes) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.spines[["top", "right"]].set_visible(False)


def _whole_numbers(axis: Any, most: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(most, integer=True))


def _figure(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = canvas(size)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def canvas(size: tuple[float, float]) -> Figure:
    """An empty picture of `size` inches, which no display shows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The picture as a file's content."""
    for axes in figure.axes:
        axes.title.set(fontsize=11, color=INK, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
