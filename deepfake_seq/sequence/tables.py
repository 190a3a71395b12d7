"""Metrics as rows of text, for terminals, Markdown and reports alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = {
    "AUC": "auc",
    "TPR at 1 % FPR": "tpr_at_1_fpr",
    "balanced accuracy": "balanced_accuracy",
    "macro-F1": "macro_f1",
    "ECE": "ece",
}
"""What is told of a model on one line, and its name in `metrics.json`."""

Rows = list[list[str]]


def metrics_rows(model: str, metrics: dict[str, Any]) -> Rows:
    """A header, and a row for the model and each baseline on each part that was judged.

    Args:
        model: The model's name.
        metrics: What `metrics.json` says.
    """
    rows = [["", "clips (real + fake)", *COLUMNS]]
    for part in ("validation", "test"):
        named = {model: metrics[part]}
        named |= {name: values[part] for name, values in metrics["baselines"].items()}
        for name, values in named.items():
            if values:
                clips = values["clips"]
                counts = f"{clips['real']} + {clips['fake']}"
                rows.append([f"{part}: {name}", counts, *figures(values, COLUMNS.values())])
    return rows


def runs_rows(runs: Mapping[str, dict[str, Any]]) -> Rows:
    """A header, and a row for each model and baseline on the last part that was judged.

    Args:
        runs: What `metrics.json` says, by the model's name; all from the same clips.
    """
    first = next(iter(runs.values()))
    part = "test" if first["test"] else "validation"
    named = {name: metrics[part] for name, metrics in runs.items()}
    named |= {name: values[part] for name, values in first["baselines"].items()}
    clips = first[part]["clips"]
    header = f"{part}: {clips['real']} real + {clips['fake']} fake"
    return [
        [header, *COLUMNS],
        *[[name, *figures(values, COLUMNS.values())] for name, values in named.items()],
    ]


def study_rows(models: Mapping[str, dict[str, Any]]) -> Rows:
    """A header, and a row for each model of a study.

    Args:
        models: What `study.summarise` gives, by the model's name.
    """
    rows = [
        [
            "test clips",
            "rounds",
            "AUC",
            "balanced accuracy",
            "macro-F1",
            "pooled AUC",
            "pooled macro-F1",
            "best by any threshold",
        ]
    ]
    for name, values in models.items():
        pooled = values["pooled"]
        rows.append(
            [
                name,
                str(values["rounds"]),
                *[
                    f"{figure(values['mean'][column])} ± {figure(values['sd'][column])}"
                    for column in ("auc", "balanced_accuracy", "macro_f1")
                ],
                figure(pooled["auc"], pooled["interval"]),
                figure(pooled["macro_f1"]),
                figure(pooled["best_macro_f1"]),
            ]
        )
    return rows


def figures(values: dict[str, Any], names: Any) -> list[str]:
    """The figures called `names`, each with its interval; a dash where there is none."""
    return [figure(values[name], values["intervals"].get(name)) for name in names]


def figure(value: float | None, interval: Sequence[float] | None = None) -> str:
    """`0.912 [0.80, 0.98]`, `0.912` or a dash."""
    if value is None:
        return "–"
    return f"{value:.3f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def markdown(rows: Rows) -> list[str]:
    """Rows, the header first, as the lines of a Markdown table."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]
