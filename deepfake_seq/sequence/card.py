"""The model card: what a run is, what it was trained on, and how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepfake_seq.config import UNTRAINED
from deepfake_seq.sequence.data import SequenceData
from deepfake_seq.sequence.decision import Decision
from deepfake_seq.sequence.tables import markdown, metrics_rows

_FEW_CLIPS = 100


def card(
    title: str, notes: dict[str, Any], metrics: dict[str, Any], data: str, decision: Decision
) -> str:
    """The run's README.md, in Markdown.

    Args:
        title: The model's name.
        notes: What `model.json` says beside the model itself.
        metrics: What `metrics.json` says.
        data: What people call the data.
        decision: The threshold and what it rests on.
    """
    members = len(notes["training"]["best_epochs"])
    networks = "one network" if members == 1 else f"{members} networks, whose logits are averaged,"
    kind = "CNN, fine-tuned on faces" if "finetune" in notes else "sequence model"
    clips = ", ".join(f"{count} {part}" for part, count in notes["split"].items())
    if members > 1:
        clips += "; each is validated by a network that was not trained on it"
    lines = [
        f"# {title}",
        "",
        f"A deepseq {kind}, made on {notes['created']} from {data}: {networks} of "
        f"{notes['parameters']['total']:,} parameters.",
        "",
        "## How far to trust it",
        "",
        *[f"- {warning}" for warning in notes["warnings"]],
        "- It knows the kinds of fakes that it was trained on. On others, expect worse.",
        "- A score is no proof. Look at the frames before you act on it.",
        "",
        "## How well it does",
        "",
        *markdown(metrics_rows(title, metrics)),
        "",
        "In brackets stand 95 % intervals, from drawing whole groups of clips anew. On the "
        "validation clips the figures are too good, because the calibration and the threshold come "
        "from them. The test clips were looked at once, at the end.",
        "",
        "## How it was made",
        "",
        f"- Clips: {clips}.",
        *_views(notes.get("views", {})),
        f"- Imbalance: {notes['training']['balance']}.",
        f"- Threshold {decision.threshold:.3f}, {decision.basis}.",
        f"- {_doubt(decision, metrics)}",
        f"- Metadata alone: {_shortcut(notes['shortcut'])}",
        "",
    ]
    return "\n".join(lines)


def about_cnn(weights: str) -> list[str]:
    """What a reader of any metrics from a CNN's features must be told of it.

    Args:
        weights: The backbone's: `untrained` or anything else.
    """
    if weights != UNTRAINED:
        return []
    return ["The CNN is untrained: the features are noise, and the figures mean nothing."]


def about_data(data: SequenceData) -> list[str]:
    """What a reader of any metrics from these clips must be told."""
    warnings = []
    if not any(data.groups):
        warnings.append(
            "Nobody said who is in which clip (a `group` column in --labels): the same person may "
            "stand on both sides of the split, and then the figures are too good."
        )
    if len(data) < _FEW_CLIPS:
        warnings.append(
            f"{len(data)} clips prove little: other clips may give very different figures."
        )
    return warnings


def beaten(title: str, metrics: dict[str, Any]) -> list[str]:
    """A warning for each baseline that does as well, on the test clips or else on validation."""
    judged = "test" if metrics["test"] else "validation"
    own = metrics[judged]["macro_f1"]
    return [
        f"{title} is no better than the baseline {name} on the {judged} clips (macro-F1 {own:.3f} "
        f"against {values[judged]['macro_f1']:.3f})."
        for name, values in metrics["baselines"].items()
        if own is not None and own <= values[judged]["macro_f1"]
    ]


def views_line(views: Mapping[str, int]) -> str:
    """`40 for training only (0 real, 40 fake)`, from how many there are of each class."""
    total = sum(views.values())
    return f"{total} for training only ({views['real']} real, {views['fake']} fake)"


def _views(views: Mapping[str, int]) -> list[str]:
    if not any(views.values()):
        return []
    return [f"- Views of the training clips, and fakes made from them: {views_line(views)}."]


def _doubt(decision: Decision, metrics: dict[str, Any]) -> str:
    low, high = decision.band
    if not decision.knows_fakes:
        return "No band of doubt: there were no fakes to tell where the classes overlap."
    if low == high:
        return "No band of doubt: the validation clips' classes hardly overlap."
    judged = "test" if metrics["test"] else "validation"
    share = metrics[judged]["doubt"]["share"]
    return (
        f"Scores from {low:.3f} to below {high:.3f} get no verdict: more than "
        f"{decision.target_fpr:.0%} of one class or the other lie beyond them. That holds for "
        f"{share:.0%} of the {judged} clips."
    )


def _shortcut(shortcut: dict[str, Any]) -> str:
    if shortcut["auc"] is None:
        return "not checked, for want of groups of each class."
    return (
        f"AUC {shortcut['auc']:.2f} without looking at a face (frame size, frame rate, duration, "
        "bit rate, codec, face size); 0.5 is chance."
    )
