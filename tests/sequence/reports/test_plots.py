"""Plots, checked by their matplotlib artists."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from deepfake_seq.sequence.evaluation.intervals import roc_band
from deepfake_seq.sequence.evaluation.metrics import at_threshold
from deepfake_seq.sequence.reports import plots

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
SCORES = np.array([0.1, 0.2, 0.3, 0.7, 0.4, 0.6, 0.8, 0.9])


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Record every figure that is rendered."""
    seen: list[Figure] = []
    save = Figure.savefig

    def watched(self: Figure, *arguments: Any, **options: Any) -> None:
        seen.append(self)
        save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", watched)
    return seen


def metrics(threshold: float) -> dict[str, Any]:
    return at_threshold(LABELS, SCORES, threshold, resamples=2)


def pixels(picture: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(picture, dtype=np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image)


def points(figure: Figure, label: str) -> np.ndarray:
    (line,) = (line for line in figure.axes[0].lines if line.get_label() == label)
    return np.array(line.get_xydata())


def test_nothing_touches_the_edge_of_a_plot() -> None:
    counts = {"real_called_real": 3, "real_called_fake": 1}
    counts |= {"fake_called_real": 1, "fake_called_fake": 30_000}
    for picture in (
        plots.roc(LABELS, SCORES, metrics(0.5), None),
        plots.precision_recall(LABELS, SCORES, metrics(0.5)),
        plots.reliability(LABELS, SCORES, metrics(0.5)),
        plots.histogram(LABELS, SCORES, 0.5, (0.3, 0.6)),
        plots.confusion(counts),
        plots.training_curves([history(3)], [2]),
    ):
        image = pixels(picture)
        frame = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert frame.min() > 250


def test_the_operating_point_is_at_the_threshold(drawn: list[Figure]) -> None:
    band = roc_band(LABELS, SCORES, np.arange(8), resamples=50)
    plots.roc(LABELS, SCORES, metrics(0.5), band)
    plots.precision_recall(LABELS, SCORES, metrics(0.5))
    roc, recall = drawn
    assert points(roc, "threshold 0.500").tolist() == [[0.25, 0.75]]
    assert points(recall, "threshold 0.500").tolist() == [[0.75, 0.75]]
    assert len(roc.axes[0].collections) == 1  # the band
    assert any(line.get_label() == "Chance level (fakes: 50%)" for line in recall.axes[0].lines)


def test_a_threshold_without_fake_calls_has_no_operating_point(drawn: list[Figure]) -> None:
    plots.precision_recall(LABELS, SCORES, metrics(0.99))
    assert not [line for line in drawn[0].axes[0].lines if "threshold" in str(line.get_label())]


def test_the_confusion_matrix_shows_counts_and_fractions(drawn: list[Figure]) -> None:
    counts = {"real_called_real": 3, "real_called_fake": 1}
    plots.confusion(counts | {"fake_called_real": 0, "fake_called_fake": 0})
    texts = [text.get_text() for text in drawn[0].axes[0].texts]
    assert texts == ["3\n75.0%", "1\n25.0%", "0\n0.0%", "0\n0.0%"]


def test_the_calibration_plot_weights_both_classes_equally(drawn: list[Figure]) -> None:
    labels = np.array([0] + [1] * 9)
    scores = np.full(10, 0.5)
    plots.reliability(labels, scores, at_threshold(labels, scores, 0.5, resamples=2))
    (curve,) = (line for line in drawn[0].axes[0].lines if line.get_marker() == "o")
    assert np.allclose(curve.get_xydata(), [[0.5, 0.5]])


def test_inconclusive_scores_are_shaded(drawn: list[Figure]) -> None:
    plots.histogram(LABELS, SCORES, 0.5, (0.5, 0.5))
    plots.histogram(LABELS, SCORES, 0.5, (0.3, 0.6))
    without, shaded = ([patch.get_label() for patch in figure.axes[0].patches] for figure in drawn)
    assert "inconclusive" not in without and "inconclusive" in shaded
    assert {"real (4)", "fake (4)"} <= set(without)


def history(epochs: int, start: float = 0.5) -> list[dict[str, float]]:
    return [
        {"epoch": n, "loss": start / n, "val_loss": start / n + 0.1, "val_auc": 0.6}
        for n in range(1, epochs + 1)
    ]


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_every_network_has_curves_and_a_marked_best_epoch(drawn: list[Figure], epochs: int) -> None:
    plots.training_curves([history(epochs), history(epochs, 0.9)], [1, epochs])
    left = drawn[0].axes[0]
    curves = [line for line in left.lines if line.get_linestyle() == "-"]
    assert len(curves) == 4
    assert [line.get_xdata()[line.get_markevery()].tolist() for line in curves[1::2]] == [
        [1],
        [epochs],
    ]
    assert all(line.get_marker() == "o" for line in curves[1::2])


def test_the_start_of_a_phase_is_marked(drawn: list[Figure]) -> None:
    rows = [{**row, "phase": 1.0 if row["epoch"] < 4 else 2.0} for row in history(6)]
    plots.training_curves([rows, rows[:5]], [2, 5])
    plots.training_curves([history(6)], [2])
    phased, plain = drawn
    for axes in phased.axes:
        (line,) = (line for line in axes.lines if line.get_linestyle() == "--")
        assert set(line.get_xdata()) == {3.5}
        assert [text.get_text().strip() for text in axes.texts] == ["phase 2"]
    assert not any(axes.texts for axes in plain.axes)


def test_an_undefined_auc_is_not_drawn(drawn: list[Figure]) -> None:
    plots.training_curves([[{**row, "val_auc": np.nan} for row in history(3)]], [3])
    (curve,) = (line for line in drawn[0].axes[1].lines if line.get_linestyle() != ":")
    assert np.isnan(curve.get_ydata()).all()
