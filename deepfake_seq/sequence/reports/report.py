"""The report of a run on a store: one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepfake_seq.datasets import LABEL_NAMES
from deepfake_seq.datasets.plot import draw_classes
from deepfake_seq.datasets.survey import ClassCount
from deepfake_seq.sequence.evaluation import breakdown
from deepfake_seq.sequence.evaluation.intervals import roc_band, units
from deepfake_seq.sequence.evaluation.predictions import Predictions
from deepfake_seq.sequence.evaluation.threshold import Decision
from deepfake_seq.sequence.reports import html, plots
from deepfake_seq.sequence.reports.tables import metrics_rows

_MAX_GROUPS = 40
_METRIC_NAMES = {
    "auc": "AUC",
    "average_precision": "average precision",
    "eer": "equal error rate",
    "tpr_at_1_fpr": "TPR at 1 % FPR",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "ece": "ECE",
    "brier": "Brier score",
}


@dataclass(frozen=True)
class Mistake:
    """A misclassified clip.

    Attributes:
        video_id: Name of the clip in the store.
        label: 1 = fake, 0 = real.
        score: Calibrated probability of fake.
        sheet_jpeg: Picture of its frames and crops, or None.
        note: Why there is no picture.
    """

    video_id: str
    label: int
    score: float
    sheet_jpeg: bytes | None = None
    note: str = ""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The contents of a report.

    Attributes:
        run: Name of the run.
        store: Name of the store.
        reported: When the report was created.
        model: Name of the model.
        created: When the run was created.
        fingerprint_id: Fingerprint of the features.
        split: Number of the run's clips in each split.
        decision: Threshold and abstention band of the run.
        warnings: Limits of the metrics, shown first.
        counts: Number of `real` and `fake` clips in the store, by their role in the run.
        excluded: Number of clips of the store that could not be used, by reason.
        metrics: Contents of `metrics.json`.
        predictions: Evaluated clips of each split.
        histories: Training history of each network, as rows, or nothing.
        best_epochs: The epoch of each network whose weights were kept.
        mistakes: The most confident mistakes.
        frames_requested: Whether frames of the mistakes were requested.
        card: Model card of the run, in Markdown.
        stress_page: Path of the page of `deepseq stress`, relative to the report; "" if there is
            none.
    """

    run: str
    store: str
    reported: str
    model: str
    created: str
    fingerprint_id: str
    split: Mapping[str, int]
    decision: Decision
    warnings: Sequence[str]
    counts: Mapping[str, Mapping[str, int]]
    excluded: Mapping[str, int]
    metrics: dict[str, Any]
    predictions: Mapping[str, Predictions]
    histories: Sequence[Sequence[Mapping[str, float]]]
    best_epochs: Sequence[int]
    mistakes: Sequence[Mistake]
    frames_requested: bool
    card: str
    stress_page: str = ""


def render(evaluation: Evaluation) -> str:
    """Render the report as HTML."""
    histories = evaluation.histories
    return html.render(
        "report.html.j2",
        evaluation=evaluation,
        class_counts=_class_counts(evaluation.counts),
        summary=metrics_rows(evaluation.model, evaluation.metrics),
        splits=[
            _split(name, predictions, evaluation)
            for name, predictions in evaluation.predictions.items()
            if name != "validation"
        ],
        training_curves=histories and plots.training_curves(histories, evaluation.best_epochs),
        few=breakdown.FEW,
        label_names=LABEL_NAMES,
        max_groups=_MAX_GROUPS,
        metric_names=_METRIC_NAMES,
    )


def _class_counts(counts: Mapping[str, Mapping[str, int]]) -> bytes:
    """Plot the number of clips of each role."""
    bars = [
        ClassCount(role, clips["real"], clips["fake"], 0, 0)
        for role, clips in counts.items()
        if any(clips.values())
    ]
    return draw_classes({"role": bars})


def _split(name: str, predictions: Predictions, evaluation: Evaluation) -> dict[str, Any]:
    """Collect the plots and tables of one split."""
    metrics, decision = evaluation.metrics[name], evaluation.decision
    labels, scores = predictions.labels, predictions.scores
    curves = {}
    if metrics["auc"] is not None:
        band = roc_band(labels, scores, units(predictions.groups, len(predictions)))
        curves = {
            "roc": plots.roc(labels, scores, metrics, band),
            "precision_recall": plots.precision_recall(labels, scores, metrics),
            "reliability": plots.reliability(labels, scores, metrics),
        }
    return {
        "name": name,
        "metrics": metrics,
        "curves": curves,
        "confusion": plots.confusion(metrics["confusion"]),
        "histogram": plots.histogram(labels, scores, decision.threshold, decision.band),
        "methods": evaluation.metrics["methods"][name],
        "groups": breakdown.by_group(predictions, decision.threshold),
    }
