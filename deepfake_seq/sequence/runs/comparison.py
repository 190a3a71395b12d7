"""Compare several runs on the test clips that they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepfake_seq.sequence.data.dataset import clip_key
from deepfake_seq.sequence.evaluation import predictions
from deepfake_seq.sequence.evaluation.intervals import DeLong, delong
from deepfake_seq.sequence.evaluation.predictions import Predictions
from deepfake_seq.sequence.reports.tables import Rows, with_interval
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.splits import split_file


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """A run in a comparison.

    Attributes:
        folder: Run directory.
        model: Name of the model.
        parameters: Number of parameters of one network.
        members: Number of networks that are averaged.
        rule: Rule that chose its threshold.
        fingerprint_id: Fingerprint of the features that it was trained on.
        metrics: Metrics of its test split, or None if it has no test clips.
        cells: Test clips, AUC, balanced accuracy and macro-F1, formatted for a table.
        test: Predictions of its test clips.
        trained_on: Keys of its training and validation clips; see `clip_key`.
    """

    folder: Path
    model: str
    parameters: int
    members: int
    rule: str
    fingerprint_id: str
    metrics: dict[str, Any] | None
    cells: list[str]
    test: Predictions
    trained_on: frozenset[str]

    @classmethod
    def read(cls, folder: Path) -> ComparedRun:
        """Read a run directory, without its weights.

        Raises:
            RunError: A file is missing or damaged.
        """
        description = run.describe(folder)
        metrics = run.read_metrics(folder)["test"]
        split = split_file.read_split(folder)
        clips = [*split.get("train", {}).items(), *split.get("validation", {}).items()]
        return cls(
            folder=folder,
            model=description.title,
            parameters=description.parameters.total,
            members=description.members,
            rule=description.decision.rule,
            fingerprint_id=description.fingerprint_id,
            metrics=metrics,
            cells=_cells(metrics),
            test=predictions.read(folder / predictions.NAME).of_split("test"),
            trained_on=frozenset(clip_key(video_id, clip.sha256) for video_id, clip in clips),
        )


@dataclass(frozen=True)
class PairedTest:
    """DeLong's test of two runs on the test clips that they have in common.

    Attributes:
        clips: Number of common test clips.
        test: Result of the test; None if there are too few clips.
    """

    clips: int
    test: DeLong | None


def pair(first: Predictions, other: Predictions) -> PairedTest:
    """Test whether `other` has another AUC than `first`, on clips with the same label in both."""
    position_of = {key: position for position, key in enumerate(other.keys)}
    positions = [
        (position, position_of[key])
        for position, key in enumerate(first.keys)
        if key in position_of and first.labels[position] == other.labels[position_of[key]]
    ]
    in_first, in_other = np.array(positions, dtype=np.int64).reshape(-1, 2).T
    test = delong(other.labels[in_other], other.scores[in_other], first.scores[in_first])
    return PairedTest(len(positions), test)


def caveats(runs: Sequence[ComparedRun]) -> list[str]:
    """List the reasons why a comparison of the runs is invalid or limited."""
    first = runs[0]
    notes = []
    for other in runs[1:]:
        keys, other_keys = set(first.test.keys), set(other.test.keys)
        if keys != other_keys:
            notes.append(
                f"{first.folder} and {other.folder} were tested on different clips: "
                f"{len(keys & other_keys)} in common, {len(keys - other_keys)} only in the first, "
                f"{len(other_keys - keys)} only in the second. Their metrics are not comparable; "
                "the p-value covers the common clips."
            )
        if first.fingerprint_id != other.fingerprint_id:
            notes.append(
                f"{first.folder} and {other.folder} were trained on different kinds of features "
                f"(fingerprints {first.fingerprint_id} and {other.fingerprint_id})."
            )
    for one in runs:
        for other in runs:
            leaked = len(set(one.test.keys) & other.trained_on)
            if leaked:
                notes.append(
                    f"Leak: {leaked} test clips of {one.folder} are training or validation clips "
                    f"of {other.folder}."
                )
    if any(len(names) for names in first.test.groups):
        notes.append(
            "DeLong's test assumes independent clips: if a person is in several clips, the p-value "
            "is too small."
        )
    return notes


def rows(runs: Sequence[ComparedRun], paired: Sequence[PairedTest]) -> Rows:
    """Return a header, and a row for each run.

    Args:
        runs: The runs.
        paired: Test of each run but the first against the first.
    """
    header = ["run", "model", "parameters", "test clips (real + fake)", "AUC"]
    header += ["balanced accuracy", "macro-F1", "threshold", "p against the first"]
    table = [header]
    for compared, against in zip(runs, [None, *paired], strict=True):
        factor = f"{compared.members} × " if compared.members > 1 else ""
        row = [str(compared.folder), compared.model, f"{factor}{compared.parameters:,}"]
        table.append([*row, *compared.cells, compared.rule, _p_value(against)])
    return table


def _cells(metrics: dict[str, Any] | None) -> list[str]:
    if metrics is None:
        return ["none", "–", "–", "–"]
    clips, intervals = metrics["clips"], metrics["intervals"]
    names = ("auc", "balanced_accuracy", "macro_f1")
    values = [with_interval(metrics[name], intervals[name]) for name in names]
    return [f"{clips['real']} + {clips['fake']}", *values]


def _p_value(paired: PairedTest | None) -> str:
    if paired is None or paired.test is None or paired.test.p_value is None:
        return "–"
    return f"{paired.test.p_value:.3f} ({paired.clips} clips)"


def report(runs: Sequence[ComparedRun], paired: Sequence[PairedTest]) -> list[dict[str, Any]]:
    """Return the comparison as plain JSON values; arguments as for `rows`."""
    return [
        {
            "run": str(compared.folder),
            "model": compared.model,
            "members": compared.members,
            "parameters": compared.parameters,
            "fingerprint_id": compared.fingerprint_id,
            "threshold_rule": compared.rule,
            "test": compared.metrics,
            "against_first": None if against is None else _report_pair(against),
        }
        for compared, against in zip(runs, [None, *paired], strict=True)
    ]


def _report_pair(paired: PairedTest) -> dict[str, Any]:
    difference, error, p_value = paired.test or (None, None, None)
    return {
        "clips": paired.clips,
        "auc_difference": difference,
        "standard_error": error,
        "p_value": p_value,
    }
