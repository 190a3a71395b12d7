"""Pictures of a run. Drawn without a display."""

from __future__ import annotations

import io
from pathlib import Path

from deepfake_seq import atomic

_INK, _TRAIN, _VALIDATION = "#333333", "#4477aa", "#ee6677"


def training_curves(path: Path, history: list[dict[str, float]], best_epoch: int) -> None:
    """Loss and validation AUC by epoch, with the epoch whose weights were kept, as a PNG.

    Args:
        path: The file to write.
        history: Rows with `epoch`, `loss`, `val_loss` and `val_auc`.
        best_epoch: An `epoch` of the history.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    marker = "o" if len(epochs) < 3 else None
    left.plot(epochs, [row["loss"] for row in history], _TRAIN, label="training", marker=marker)
    left.plot(
        epochs, [row["val_loss"] for row in history], _VALIDATION, label="validation", marker=marker
    )
    left.set(title="Focal loss", xlabel="epoch", yscale="log")
    right.plot(
        epochs, [row["val_auc"] for row in history], _VALIDATION, label="validation", marker=marker
    )
    right.axhline(0.5, color=_INK, linewidth=0.8, linestyle=":", label="chance")
    right.set(title="AUC", xlabel="epoch", ylim=(-0.02, 1.02))
    for axes in (left, right):
        axes.axvline(best_epoch, color=_INK, linewidth=0.8, linestyle="--", label="kept epoch")
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    atomic.write_bytes(path, buffer.getvalue())
