"""The report of a run on a store, as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepfake_seq.datasets import LABEL_NAMES
from deepfake_seq.datasets.figure import draw_classes
from deepfake_seq.datasets.survey import ClassCount
from deepfake_seq.sequence import breakdown, figures
from deepfake_seq.sequence.decision import Decision
from deepfake_seq.sequence.intervals import roc_band, units
from deepfake_seq.sequence.page import (
    facts,
    heading,
    image,
    lines,
    page,
    paragraph,
    side_by_side,
    table,
)
from deepfake_seq.sequence.predictions import Predictions
from deepfake_seq.sequence.tables import Rows, figure, metrics_rows, with_interval
from deepfake_seq.sequence.weighted import FIGURES

_MOST_GROUPS = 40
_NAMES = {
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
    """A clip that was called wrongly.

    Attributes:
        video_id: Of the store.
        label: 1 = fake, 0 = real.
        score: Its calibrated probability of fake.
        sheet_jpeg: Its frames and crops, or None.
        note: Why there is no sheet.
    """

    video_id: str
    label: int
    score: float
    sheet_jpeg: bytes | None = None
    note: str = ""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All that a report is made from.

    Attributes:
        run: The run's name.
        store: The store's name.
        made: When, in words.
        model: The model's name.
        created: When the run was made.
        fingerprint_id: Of the features.
        split: How many clips of the run stand in which part.
        decision: How the run decides.
        warnings: What a reader of the figures must be told.
        counts: The store's clips by how the run knows them: how many are `real` and `fake`.
        excluded: How many clips of the store were left out, by reason.
        metrics: As in `metrics.json`.
        judged: The clips of each part that was judged.
        histories: For each network the rows of its training, or nothing.
        best_epochs: For each network the epoch that was kept.
        mistakes: The surest ones.
        pictures: What is said of their pictures where nobody asked for any.
        card: The run's model card, in Markdown.
    """

    run: str
    store: str
    made: str
    model: str
    created: str
    fingerprint_id: str
    split: Mapping[str, int]
    decision: Decision
    warnings: Sequence[str]
    counts: Mapping[str, Mapping[str, int]]
    excluded: Mapping[str, int]
    metrics: dict[str, Any]
    judged: Mapping[str, Predictions]
    histories: Sequence[Sequence[Mapping[str, float]]]
    best_epochs: Sequence[int]
    mistakes: Sequence[Mistake]
    pictures: str
    card: str


def render(evaluation: Evaluation) -> str:
    """The report as HTML."""
    title = f"{evaluation.model} on {evaluation.store}"
    parts = [*_head(title, evaluation), *_data(evaluation), *_figures(evaluation)]
    for name, judged in evaluation.judged.items():
        if name != "validation":
            parts += _part(name, judged, evaluation)
    parts += [*_mistakes(evaluation), *_training(evaluation)]
    parts += [heading("Model card"), lines(evaluation.card)]
    return page(title, parts)


def _head(title: str, evaluation: Evaluation) -> list[str]:
    told = {
        "run": f"{evaluation.run}, made on {evaluation.created}",
        "store": evaluation.store,
        "fingerprint": evaluation.fingerprint_id,
        "report": evaluation.made,
        "threshold": f"{evaluation.decision.threshold:.3f}, {evaluation.decision.basis}",
    }
    warnings = [paragraph(warning, "warning") for warning in evaluation.warnings]
    return [heading(title, 1), *warnings, facts(told)]


def _data(evaluation: Evaluation) -> list[str]:
    filled = {kind: own for kind, own in evaluation.counts.items() if sum(own.values())}
    rows = [["clips of this store", "real", "fake"]]
    rows += [[kind, f"{own['real']:,}", f"{own['fake']:,}"] for kind, own in filled.items()]
    bars = [ClassCount(kind, own["real"], own["fake"], 0, 0) for kind, own in filled.items()]
    left_out = ", ".join(f"{count} {reason}" for reason, count in evaluation.excluded.items())
    used = ", ".join(f"{count} {part}" for part, count in evaluation.split.items())
    parts = [heading("Data"), paragraph(f"The run's own clips: {used}."), table(rows)]
    if left_out:
        parts.append(paragraph(f"Left out of this store: {left_out}."))
    if bars:
        parts.append(image(draw_classes({"part": bars}), "Clips of each class."))
    return parts


def _figures(evaluation: Evaluation) -> list[str]:
    metrics = evaluation.metrics
    judged = [name for name in ("validation", "test", "unseen") if metrics.get(name)]
    every: Rows = [["", *judged]]
    for key in FIGURES:
        values = [metrics[name] for name in judged]
        every.append(
            [_NAMES[key], *(with_interval(own[key], own["intervals"][key]) for own in values)]
        )
    return [
        heading("Figures"),
        table(metrics_rows(evaluation.model, metrics)),
        paragraph(
            "In brackets stand 95 % intervals, from drawing whole groups of clips anew. The "
            "calibration and the threshold come from the validation clips: their figures are too "
            "good. ECE and Brier score weigh both classes alike.",
            "note",
        ),
        table(every),
    ]


def _part(name: str, judged: Predictions, evaluation: Evaluation) -> list[str]:
    """The pictures and tables of one part."""
    metrics, decision = evaluation.metrics[name], evaluation.decision
    labels, scores, threshold = judged.labels, judged.scores, decision.threshold
    counts = f"{metrics['clips']['real']:,} real and {metrics['clips']['fake']:,} fake clips"
    interval = metrics["intervals"]
    pictures = []
    if metrics["auc"] is not None:
        band = roc_band(labels, scores, units(judged.groups, len(judged)))
        shown = {key: with_interval(metrics[key], interval[key]) for key in FIGURES}
        title = f"AUC {shown['auc']}"
        pictures += [
            image(figures.roc(labels, scores, threshold, title, band), "ROC."),
            image(
                figures.precision_recall(
                    labels, scores, threshold, f"Average precision {shown['average_precision']}"
                ),
                "Precision and recall of fakes.",
            ),
            image(
                figures.reliability(labels, scores, f"ECE {shown['ece']}"),
                "Calibration, both classes weighed alike.",
            ),
        ]
    confusion = figures.confusion(metrics["confusion"])
    pictures.append(image(confusion, "What became of each class."))
    histogram = figures.histogram(labels, scores, threshold, decision.band)
    doubt = metrics["doubt"]
    outside = figure(doubt["accuracy_outside"])
    return [
        heading(f"Part: {name}"),
        paragraph(f"{counts} in {metrics['groups']:,} groups."),
        side_by_side(pictures),
        image(histogram, "Scores of each class.", wide=True),
        paragraph(f"In doubt: {doubt['clips']:,} clips. Accuracy of the others: {outside}."),
        *_methods(judged, threshold),
        *_groups(judged, threshold),
    ]


def _methods(judged: Predictions, threshold: float) -> list[str]:
    rows: Rows = [["method", "fake clips", "called fake", "AUC against all real clips", ""]]
    for row in breakdown.by_method(judged, threshold):
        few = "few clips" if row["clips"] < breakdown.FEW else ""
        recall, auc = figure(row["recall"]), figure(row["auc"])
        rows.append([row["name"], f"{row['clips']:,}", recall, auc, few])
    return [heading("By method", 3), table(rows)] if len(rows) > 1 else []


def _groups(judged: Predictions, threshold: float) -> list[str]:
    found = breakdown.by_group(judged, threshold)
    rows: Rows = [["group", "real", "fake", "called wrongly", "AUC", ""]]
    for row in found[:_MOST_GROUPS]:
        few = "few clips" if row["real"] + row["fake"] < breakdown.FEW else ""
        counts = [f"{row[key]:,}" for key in ("real", "fake", "wrong")]
        rows.append([row["name"], *counts, figure(row["auc"]), few])
    if not found:
        return [paragraph("Nobody said who is in which clip: there are no groups.", "note")]
    parts = [heading("By person or source", 3), table(rows)]
    if len(found) > _MOST_GROUPS:
        fewer = f"{len(found) - _MOST_GROUPS:,} more groups have no more mistakes than these."
        parts.append(paragraph(fewer, "note"))
    return parts


def _mistakes(evaluation: Evaluation) -> list[str]:
    parts = [heading("The surest mistakes")]
    if not evaluation.mistakes:
        parts.append(paragraph("None: every clip was called what it is."))
    elif evaluation.pictures:
        parts.append(paragraph(evaluation.pictures, "note"))
    for mistake in evaluation.mistakes:
        called = LABEL_NAMES[1 - mistake.label]
        what = f"{mistake.video_id} is {LABEL_NAMES[mistake.label]} and was called {called}"
        shown = f"{what}, with a score of {mistake.score:.3f}."
        if mistake.sheet_jpeg:
            parts.append(image(mistake.sheet_jpeg, shown, "jpeg", wide=True))
        else:
            parts.append(paragraph(f"{shown} {mistake.note}"))
    return parts


def _training(evaluation: Evaluation) -> list[str]:
    if not evaluation.histories:
        return []
    picture = figures.training_curves(evaluation.histories, evaluation.best_epochs)
    return [
        heading("Training"),
        image(picture, "Loss and AUC by epoch, of each network.", wide=True),
    ]
