"""The model card: what a run is, what it was trained on, and how far to trust it."""

from __future__ import annotations

from typing import Any

_FEW_CLIPS = 100


def card(title: str, notes: dict[str, Any], metrics: dict[str, Any]) -> str:
    """The run's README.md, in Markdown.

    Args:
        title: The model's name.
        notes: What `model.json` says.
        metrics: What `metrics.json` says.
    """
    split, training = notes["split"], notes["training"]
    lines = [
        f"# {title}",
        "",
        f"A deepseq sequence model with {notes['parameters']['total']:,} parameters, trained on "
        f"{notes['created']}.",
        "",
        "| part | real clips | fake clips | AUC | balanced accuracy | macro-F1 |",
        "|---|---|---|---|---|---|",
    ]
    rows = [("validation", metrics["validation"]), ("test", metrics["test"])]
    for name, values in metrics["baselines"].items():
        rows += [(f"{part}, {name}", values.get(part)) for part in ("validation", "test")]
    for name, values in rows:
        if values:
            figures = (values["auc"], values["balanced_accuracy"], values["macro_f1"])
            clips = values["clips"]
            lines.append(
                f"| {name} | {clips['real']} | {clips['fake']} | "
                + " | ".join(number(figure) for figure in figures)
                + " |"
            )
    lines += [
        "",
        f"- Trained on {split['train']} clips; {split['dropped']} were dropped because they stand "
        "on two sides of the split.",
        f"- Epoch {training['best_epoch']} of {training['epochs_run']} was kept, by its AUC and "
        "then its loss on the validation clips.",
        f"- Focal loss with gamma {training['gamma']:g}; a fake clip weighs "
        f"{training['alpha']:.3f} and a real one {1 - training['alpha']:.3f}.",
        f"- The threshold {notes['threshold']:.3f} and the calibration come from the same "
        "validation clips, so the figures on them are too good; the test clips were looked at "
        "once, at the end.",
        "",
        "## What it can be trusted with",
        "",
        *[f"- {warning}" for warning in notes["warnings"]],
        "- It knows the kinds of fakes that it was trained on. On others, expect worse.",
        "- A score is no proof. Look at the frames before you act on it.",
        "",
    ]
    return "\n".join(lines)


def warnings_about(metrics: dict[str, Any], clips: int, has_groups: bool, cnn: str) -> list[str]:
    """What a reader of the metrics must be told.

    Args:
        metrics: What `metrics.json` says.
        clips: How many clips there were in all.
        has_groups: Whether it is known who is in the clips.
        cnn: The backbone's weights: `untrained` or anything else.
    """
    warnings = []
    if cnn == "untrained":
        warnings.append(
            "The CNN is untrained: the features are noise, and the figures mean nothing."
        )
    if not has_groups:
        warnings.append(
            "Nobody said who is in which clip (a `group` column in --labels): the same person may "
            "stand on both sides of the split, and then the figures are too good."
        )
    if clips < _FEW_CLIPS:
        warnings.append(f"{clips} clips prove little: other clips may give very different figures.")
    judged = "test" if metrics["test"] else "validation"
    own = metrics[judged]
    if own["macro_f1"] is not None:
        for name, values in metrics["baselines"].items():
            other = values.get(judged)
            if other and other["macro_f1"] is not None and own["macro_f1"] <= other["macro_f1"]:
                warnings.append(
                    f"It is no better than the baseline {name} on the {judged} clips (macro-F1 "
                    f"{own['macro_f1']:.3f} against {other['macro_f1']:.3f})."
                )
    return warnings


def number(value: float | None) -> str:
    """A figure with three decimals, or a dash where the data cannot support one."""
    return "–" if value is None else f"{value:.3f}"
