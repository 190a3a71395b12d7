"""Plots of a model's metrics and training, as PNG bytes; no display is needed.

scikit-learn's displays draw the curves and the confusion matrix. The operating point, the interval
band, the histograms and the training curves are drawn here: scikit-learn has no display for them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.sequence.evaluation.metrics import Labels, Scores
from deepfake_seq.sequence.evaluation.weighted_metrics import BINS, WeightedMetrics, bin_of
from deepfake_seq.sequence.reports.tables import with_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REAL_COLOUR, FAKE_COLOUR, INK, PALE = "#4477aa", "#ee6677", "#333333", "#dddddd"
_DPI = 150
_SQUARE = (4.4, 4.2)
_WIDE = (8.8, 3.6)
_STYLE: dict[Any, Any] = {
    "axes.prop_cycle": f"cycler(color=['{REAL_COLOUR}'])",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
_REFERENCE: dict[str, Any] = {"color": INK, "linewidth": 0.8, "linestyle": ":"}
_SCORE = "score (calibrated probability of fake)"

Band = tuple[Scores, Scores, Scores]
"""(M,) false-positive rates, and the lower and upper limit of the true-positive rate at each."""


@contextmanager
def _style() -> Iterator[None]:
    """Decorate a function to draw in the style of these plots, also by scikit-learn."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


@_style()
def roc(labels: Labels, scores: Scores, metrics: Mapping[str, Any], band: Band | None) -> bytes:
    """Plot the ROC curve with the operating point.

    Args:
        labels: (N,); both classes.
        scores: (N,); higher means more likely fake.
        metrics: Metrics of these scores, from `metrics.at_threshold`.
        band: 95 % interval of the curve, from `intervals.roc_band`.
    """
    from sklearn.metrics import RocCurveDisplay, roc_curve

    fpr, tpr, _ = roc_curve(labels, scores)
    figure, axes = _square()
    if band:
        axes.fill_between(*band, color=REAL_COLOUR, alpha=0.18, linewidth=0, label="95 % interval")
    recalls = [metrics["per_class"][name]["recall"] for name in ("real", "fake")]
    _operating_point(axes, 1 - recalls[0], recalls[1], metrics["threshold"])
    display = RocCurveDisplay(fpr=fpr, tpr=tpr)
    display.plot(ax=axes, plot_chance_level=True, chance_level_kw=_REFERENCE)
    axes.set(xlabel="false-positive rate", ylabel="true-positive rate")
    axes.set_title(_title("AUC", metrics, "auc"))
    return png(figure)


@_style()
def precision_recall(labels: Labels, scores: Scores, metrics: Mapping[str, Any]) -> bytes:
    """Plot precision and recall of fakes with the operating point; arguments as for `roc`."""
    from sklearn.metrics import PrecisionRecallDisplay, precision_recall_curve

    precision, recall, _ = precision_recall_curve(labels, scores)
    fakes = float((labels == FAKE).mean())
    figure, axes = _square()
    called = metrics["per_class"]["fake"]
    if called["precision"] is not None:
        _operating_point(axes, called["recall"], called["precision"], metrics["threshold"])
    chance = {**_REFERENCE, "label": f"Chance level (fakes: {fakes:.0%})"}
    display = PrecisionRecallDisplay(precision, recall, prevalence_pos_label=fakes)
    display.plot(ax=axes, plot_chance_level=True, chance_level_kw=chance)
    axes.set(xlabel="recall of fakes", ylabel="precision of fakes")
    axes.set_title(_title("Average precision", metrics, "average_precision"))
    return png(figure)


@_style()
def confusion(counts: Mapping[str, int]) -> bytes:
    """Plot the confusion matrix: counts, and fractions of each true class.

    Args:
        counts: `real_called_real` and so on, as in the metrics.
    """
    from sklearn.metrics import ConfusionMatrixDisplay

    classes = ("real", "fake")
    table = np.array([[counts[f"{true}_called_{call}"] for call in classes] for true in classes])
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    figure, axes = _square()
    style: dict[str, Any] = {
        "cmap": "Blues",
        "im_kw": {"vmin": 0, "vmax": 1},
        "text_kw": {"fontsize": 14},
    }
    display = ConfusionMatrixDisplay(shares, display_labels=classes)
    display.plot(ax=axes, colorbar=False, values_format=".1%", **style)
    for text, count, share in zip(display.text_.flat, table.flat, shares.flat, strict=True):
        text.set(text=f"{count:,}\n{text.get_text()}", color="white" if share > 0.55 else INK)
    axes.set(title=f"{table.sum():,} clips", xlabel="predicted class", ylabel="true class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return png(figure)


@_style()
def reliability(labels: Labels, scores: Scores, metrics: Mapping[str, Any]) -> bytes:
    """Plot the fraction of fakes against the score, and the number of clips in each bin.

    Arguments as for `roc`. Both classes weigh the same in total. `CalibrationDisplay` computes
    unweighted curves only, so it is given this one.
    """
    from sklearn.calibration import CalibrationDisplay

    mean_score, fakes = WeightedMetrics.of(labels, scores, metrics["threshold"]).calibration_curve()
    figure = canvas(_SQUARE)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
    CalibrationDisplay(fakes, mean_score, scores).plot(ax=upper, marker="o", markersize=5)
    upper.set(xlabel="", ylabel="fraction of fakes", ylim=(-0.02, 1.02))
    upper.set_title(_title("ECE", metrics, "ece"))
    edges = np.arange(BINS + 1) / BINS
    counts = np.bincount(bin_of(scores), minlength=BINS)
    lower.stairs(counts, edges, fill=True, color=REAL_COLOUR, alpha=0.6)
    lower.set(xlabel=_SCORE, ylabel="clips", xlim=(0, 1))
    _whole_numbers(lower.yaxis, 3)
    figure.align_ylabels()
    return png(figure)


@_style()
def histogram(labels: Labels, scores: Scores, threshold: float, band: tuple[float, float]) -> bytes:
    """Plot the scores of each class, with the threshold and the inconclusive scores.

    Args:
        labels: (N,).
        scores: (N,); calibrated probabilities of fake.
        threshold: Scores of at least this are called fake.
        band: Scores from the first to below the second are inconclusive.
    """
    figure = canvas(_WIDE)
    axes = figure.subplots()
    if band[0] < band[1]:
        low, high = np.clip(band, 0, 1)
        axes.axvspan(low, high, color=PALE, linewidth=0, label="inconclusive")
    edges = np.linspace(0, 1, 31)
    for name, label, colour in (("real", REAL, REAL_COLOUR), ("fake", FAKE, FAKE_COLOUR)):
        chosen = scores[labels == label]
        counts = np.histogram(chosen, edges)[0]
        axes.stairs(counts, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(counts, edges, color=colour, linewidth=1.6, label=f"{name} ({len(chosen):,})")
    line: dict[str, Any] = {"color": INK, "linewidth": 1.2, "linestyle": "--"}
    axes.axvline(min(threshold, 1.0), label=f"threshold {threshold:.3f}", **line)
    axes.set(xlabel=_SCORE, ylabel="clips", xlim=(0, 1))
    axes.margins(y=0.08)
    axes.set_ylim(bottom=0)
    _whole_numbers(axes.yaxis, 5)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return png(figure)


@_style()
def training_curves(
    histories: Sequence[Sequence[Mapping[str, float]]], best_epochs: Sequence[int]
) -> bytes:
    """Plot the loss and the validation AUC by epoch, and mark the epochs whose weights were kept.

    Args:
        histories: Rows of each network with `epoch`, `loss`, `val_loss` and `val_auc` (NaN if
            undefined), and optionally `phase`; the start of each further phase is marked.
        best_epochs: `epoch` whose weights were kept, of each network.
    """
    figure = canvas(_WIDE)
    left, right = figure.subplots(1, 2)
    width, alpha = (1.0, max(0.3, 1 / len(histories))) if len(histories) > 1 else (1.6, 1.0)
    for rows, best in zip(histories, best_epochs, strict=True):
        epochs = [row["epoch"] for row in rows]
        kept = [position for position, epoch in enumerate(epochs) if epoch == best]
        for axes, name, colour in (
            (left, "loss", REAL_COLOUR),
            (left, "val_loss", FAKE_COLOUR),
            (right, "val_auc", FAKE_COLOUR),
        ):
            axes.plot(
                epochs,
                [row[name] for row in rows],
                color=(colour, alpha),
                linewidth=width,
                marker="o",
                markersize=5,
                markerfacecolor=colour if name == "loss" else INK,
                markeredgewidth=0,
                # The only epoch of a curve is not visible without a marker.
                markevery=kept if name != "loss" or len(rows) == 1 else [],
            )
    left.set(title="Loss", xlabel="epoch", ylim=(0, None))
    right.axhline(0.5, **_REFERENCE)
    right.set(title="AUC on validation clips", xlabel="epoch", ylim=(-0.02, 1.02))
    for axes in (left, right):
        _whole_numbers(axes.xaxis, 8)
        _mark_phases(axes, histories)
    plural = "s" if len(histories) > 1 else ""
    keys: list[tuple[str, dict[str, Any]]] = [
        ("training", {"color": REAL_COLOUR}),
        ("validation", {"color": FAKE_COLOUR}),
        (f"kept epoch{plural}", {"color": INK, "marker": "o", "linestyle": "", "markersize": 5}),
        ("chance", _REFERENCE),
    ]
    legend_below(figure, keys)
    return png(figure)


def _mark_phases(axes: Axes, histories: Sequence[Sequence[Mapping[str, float]]]) -> None:
    """Draw a line where another phase begins."""
    begins = {
        (after["epoch"] - 0.5, int(after["phase"]))
        for rows in histories
        for before, after in pairwise(rows)
        if before.get("phase", 1) != after.get("phase", 1)
    }
    for epoch, phase in sorted(begins):
        axes.axvline(epoch, color=INK, linewidth=0.8, linestyle="--", alpha=0.6)
        transform = axes.get_xaxis_transform()
        axes.text(epoch, 0.98, f" phase {phase}", transform=transform, va="top", fontsize=8)


def legend_below(figure: Figure, keys: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Add one legend for the whole figure: names, and the style of each."""
    from matplotlib.lines import Line2D

    figure.legend(
        handles=[Line2D([], [], label=name, **style) for name, style in keys],
        loc="outside lower center",
        ncols=len(keys),
        frameon=False,
        fontsize=9,
    )


def _title(name: str, metrics: Mapping[str, Any], key: str) -> str:
    return f"{name} {with_interval(metrics[key], metrics['intervals'][key])}"


def _operating_point(axes: Axes, x: float, y: float, threshold: float) -> None:
    """Mark the threshold; the marker is drawn whole even on the edge of the axes."""
    marker: dict[str, Any] = {"color": FAKE_COLOUR, "markersize": 8, "clip_on": False}
    axes.plot(x, y, "o", mec="white", label=f"threshold {threshold:.3f}", zorder=4, **marker)


def _square() -> tuple[Figure, Axes]:
    figure = canvas(_SQUARE)
    return figure, figure.subplots()


def _whole_numbers(axis: Any, most: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(most, integer=True))


def canvas(size: tuple[float, float]) -> Figure:
    """Create an empty figure of `size` inches, outside of pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """Render the figure as the content of a PNG file."""
    for axes in figure.axes:
        axes.title.set(fontsize=11, color=INK)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
