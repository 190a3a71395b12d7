"""Metrics as rows of text, for terminals, Markdown and reports alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = {
    "AUC": "auc",
    "TPR@1%FPR": "tpr_at_1_fpr",
    "bal. accuracy": "balanced_accuracy",
    "macro-F1": "macro_f1",
    "ECE": "ece",
}
"""Columns of the summary table, and the key of each in `metrics.json`."""

_WITH_INTERVAL = ("auc", "macro_f1")

Rows = list[list[str]]


def metrics_rows(model: str, metrics: dict[str, Any]) -> Rows:
    """Return a header, and a row for the model and each baseline on each evaluated split.

    Args:
        model: The model's name.
        metrics: Contents of `metrics.json`.
    """
    rows = [["", "real + fake", *COLUMNS, "inconclusive"]]
    for split_name in ("validation", "test", "unseen"):
        named = {model: metrics.get(split_name)}
        named |= {name: values.get(split_name) for name, values in metrics["baselines"].items()}
        for name, values in named.items():
            if values:
                clips, doubt = values["clips"], values["doubt"]["share"]
                counts = f"{clips['real']} + {clips['fake']}"
                row = [f"{split_name}: {name}", counts, *_cells(values, COLUMNS.values())]
                rows.append([*row, f"{doubt:.0%}"])
    return rows


def runs_rows(runs: Mapping[str, dict[str, Any]]) -> Rows:
    """Return a header, and a row for each model and baseline on the test (or validation) split.

    Args:
        runs: Contents of `metrics.json` by the model's name; all from the same clips.
    """
    first = next(iter(runs.values()))
    split_name = "test" if first["test"] else "validation"
    named = {name: metrics[split_name] for name, metrics in runs.items()}
    named |= {name: values[split_name] for name, values in first["baselines"].items()}
    clips = first[split_name]["clips"]
    header = f"{split_name}: {clips['real']} real + {clips['fake']} fake"
    return [
        [header, *COLUMNS],
        *[[name, *_cells(values, COLUMNS.values())] for name, values in named.items()],
    ]


def study_rows(models: Mapping[str, dict[str, Any]]) -> Rows:
    """Return a header, and a row for each model of a study.

    Args:
        models: Results of `cross_validation.summarise`, by the model's name.
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
            "best at any threshold",
        ]
    ]
    for name, values in models.items():
        pooled = values["pooled"]
        rows.append(
            [
                name,
                str(values["rounds"]),
                *[
                    " ± ".join(format_metric(values[key][column]) for key in ("mean", "sd"))
                    for column in ("auc", "balanced_accuracy", "macro_f1")
                ],
                with_interval(pooled["auc"], pooled["interval"]),
                format_metric(pooled["macro_f1"]),
                format_metric(pooled["best_macro_f1"]),
            ]
        )
    return rows


def block_rows(blocks: Mapping[str, Mapping[str, float]]) -> Rows:
    """Return a header, and a row for each evidence block with its R² of each fact.

    Args:
        blocks: Result of `block_probe.probe_blocks`; not empty.
    """
    facts = list(next(iter(blocks.values())))
    cells = [[name, *(f"{values[fact]:.2f}" for fact in facts)] for name, values in blocks.items()]
    return [["R² of each block alone", *facts], *cells]


def _cells(values: dict[str, Any], names: Any) -> list[str]:
    """Format the metrics called `names`; AUC and macro-F1 with their intervals."""
    return [
        with_interval(values[name], values["intervals"].get(name))
        if name in _WITH_INTERVAL
        else format_metric(values[name])
        for name in names
    ]


def format_metric(value: float | None) -> str:
    """Format a metric with three decimals, or None as a dash."""
    return "–" if value is None else f"{value:.3f}"


def with_interval(value: float | None, interval: Sequence[float] | None) -> str:
    """Format a metric as `0.912 [0.80, 0.98]`, or as `1.000 [–]` if it has no interval."""
    if value is None:
        return "–"
    span = "–" if interval is None else f"{interval[0]:.2f}, {interval[1]:.2f}"
    return f"{value:.3f} [{span}]"


def markdown(rows: Rows) -> list[str]:
    """Format rows, the header first, as the lines of a Markdown table."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


def left_out_rows(models: Mapping[str, Mapping[str, dict[str, Any]]]) -> Rows:
    """Return a header, and a row for each model and each value that was left out.

    Args:
        models: Results of `cross_validation.summarise_left_out`, by the model's name.
    """
    table = [["model", "left out", "real + fake", "AUC", "real called fake", "fakes called fake"]]
    for name, values in models.items():
        for value, row in values.items():
            metrics = [format_metric(row[metric]) for metric in ("auc", "fpr", "tpr")]
            table.append([name, value, f"{row['real']} + {row['fake']}", *metrics])
    return table
