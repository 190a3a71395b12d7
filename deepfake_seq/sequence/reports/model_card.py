"""The model card: what a run contains, what it was trained on, and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepfake_seq.config import UNTRAINED
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.evaluation.threshold import Decision
from deepfake_seq.sequence.reports.tables import block_rows, markdown, metrics_rows

_FEW_CLIPS = 100


def card(
    title: str, notes: dict[str, Any], metrics: dict[str, Any], data: str, decision: Decision
) -> str:
    """Write the run's README.md, in Markdown.

    Args:
        title: Name of the model.
        notes: Contents of `model.json`, apart from the model itself.
        metrics: Contents of `metrics.json`.
        data: Name of the data.
        decision: Threshold of the run, and the clips it was chosen on.
    """
    members = len(notes["training"]["best_epochs"])
    parameters = f"{notes['parameters']['total']:,} parameters"
    networks = f"one network with {parameters}"
    if members > 1:
        networks = f"{members} networks with {parameters} each, whose logits are averaged"
    kind = "CNN, finetuned on faces" if "finetune" in notes else "sequence model"
    clips = ", ".join(f"{count} {split_name}" for split_name, count in notes["split"].items())
    if members > 1:
        clips += "; each validation clip is scored by the network that was not trained on it"
    lines = [
        f"# {title}",
        "",
        f"A deepseq {kind}, trained on {data} ({notes['created']}): {networks}.",
        "",
        "## Limitations",
        "",
        *[f"- {warning}" for warning in notes["warnings"]],
        "- It detects the kinds of fakes that it was trained on; expect worse results on others.",
        "- A score is not proof. Look at the frames before acting on it.",
        "",
        "## Metrics",
        "",
        *markdown(metrics_rows(title, metrics)),
        "",
        "Brackets contain 95 % bootstrap intervals, in which clips that share a person or source "
        "are resampled together. Validation metrics are optimistic: the calibration and the "
        "threshold were chosen on these clips. The test clips were used once, at the end.",
        "",
        "## Training",
        "",
        f"- Clips: {clips}.",
        *_views(notes.get("views", {})),
        f"- Class balance: {notes['training']['balance']}.",
        f"- Threshold {decision.threshold:.3f}, {decision.basis}.",
        f"- {_abstention(decision, metrics)}",
        *_smallest_face(decision),
        f"- Shortcut check: {_shortcut(notes['shortcut'])}",
        "",
        *_blocks(metrics.get("block_r2", {})),
    ]
    return "\n".join(lines)


def _smallest_face(decision: Decision) -> list[str]:
    if not decision.smallest_face:
        return []
    return [
        f"- Smallest face among the validation clips: {decision.smallest_face} pixels wide. "
        "Smaller faces get no verdict."
    ]


def cnn_warnings(weights: str) -> list[str]:
    """List the limits of metrics that follow from the CNN behind the features.

    Args:
        weights: Weights of the backbone: `untrained` or anything else.
    """
    if weights != UNTRAINED:
        return []
    return ["The CNN is untrained: its features are random, and the metrics are meaningless."]


def data_warnings(data: SequenceData) -> list[str]:
    """List the limits of metrics that follow from the data."""
    warnings = []
    if not any(data.groups):
        warnings.append(
            "No identity groups given (column `group` in --labels): the same person may be in both "
            "training and test clips, and the metrics too optimistic."
        )
    if len(data) < _FEW_CLIPS:
        warnings.append(
            f"Only {len(data)} clips: the metrics may be very different on other clips."
        )
    return warnings


def one_class_warnings(model: str, metrics: dict[str, Any]) -> list[str]:
    """State how good a model is that is trained on real clips alone.

    Args:
        model: Name of the model, one of `config.MODELS`.
        metrics: Contents of `metrics.json`.
    """
    auc = metrics["validation"]["auc"]
    if model != "autoencoder" or auc is None:
        return []
    return [
        f"The autoencoder was trained on real clips alone: AUC {auc:.2f} on the validation clips "
        "(0.5 is chance, or a score that does not rank fakes above real clips). Models that have "
        "seen fakes are expected to be better."
    ]


def baseline_warnings(title: str, metrics: dict[str, Any]) -> list[str]:
    """List the baselines that are as good, on the test (or else validation) clips."""
    split_name = _deciding_split(metrics)
    macro_f1 = metrics[split_name]["macro_f1"]
    return [
        f"{title} is no better than the baseline {name} on the {split_name} clips "
        f"(macro-F1 {macro_f1:.3f} against {values[split_name]['macro_f1']:.3f})."
        for name, values in metrics["baselines"].items()
        if macro_f1 is not None and macro_f1 <= values[split_name]["macro_f1"]
    ]


def views_line(views: Mapping[str, int]) -> str:
    """Format the number of views of each class: `40 for training only (0 real, 40 fake)`."""
    total = sum(views.values())
    return f"{total} for training only ({views['real']} real, {views['fake']} fake)"


def _views(views: Mapping[str, int]) -> list[str]:
    if not any(views.values()):
        return []
    return [f"- Views of the training clips, and fakes made from them: {views_line(views)}."]


def _deciding_split(metrics: dict[str, Any]) -> str:
    return "test" if metrics["test"] else "validation"


def _abstention(decision: Decision, metrics: dict[str, Any]) -> str:
    low, high = decision.band
    if not decision.knows_fakes:
        return "No abstention band: without fakes, it is unknown where the classes overlap."
    if low == high:
        return "No abstention band: the classes hardly overlap on the validation clips."
    split_name = _deciding_split(metrics)
    fraction = metrics[split_name]["doubt"]["share"]
    return (
        f"Abstention band: scores from {low:.3f} to below {high:.3f} are inconclusive, because the "
        f"classes overlap there; this applies to {fraction:.0%} of the {split_name} clips."
    )


def _blocks(blocks: dict[str, dict[str, float]]) -> list[str]:
    if not blocks:
        return []
    return [
        "## Evidence blocks",
        "",
        "How well each block alone predicts size and compression of clips of other people (1 is "
        "exactly, 0 not at all). A block that does so may detect how a clip was encoded.",
        "",
        *markdown(block_rows(blocks)),
        "",
    ]


def _shortcut(shortcut: dict[str, Any]) -> str:
    if shortcut["auc"] is None:
        return "not possible, because there are too few groups of each class."
    return (
        "a classifier of metadata alone (frame size, frame rate, duration, bit rate, codec, face "
        f"size) has AUC {shortcut['auc']:.2f}; 0.5 is chance."
    )
