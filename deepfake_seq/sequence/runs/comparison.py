"""Several runs side by side, on the test clips that they have in common."""

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
    """One run.

    Attributes:
        folder: Where it is.
        model: The model's name.
        parameters: Of one network.
        members: How many networks are averaged.
        rule: How its threshold was chosen.
        fingerprint_id: Of the features that it was trained on.
        metrics: Of its test part, or None where it has none.
        cells: The same for people: clips, AUC, balanced accuracy, macro-F1.
        tested: Its test clips.
        trained_on: What its training and validation clips are known by.
    """

    folder: Path
    model: str
    parameters: int
    members: int
    rule: str
    fingerprint_id: str
    metrics: dict[str, Any] | None
    cells: list[str]
    tested: Predictions
    trained_on: frozenset[str]

    @classmethod
    def read(cls, folder: Path) -> ComparedRun:
        """Read what a run directory says of itself; no weights are loaded.

        Raises:
            RunError: Something is missing or damaged.
        """
        description = run.describe(folder)
        metrics = run.read_metrics(folder)["test"]
        split = split_file.read_split(folder)
        known = [*split.get("train", {}).items(), *split.get("validation", {}).items()]
        return cls(
            folder=folder,
            model=description.title,
            parameters=description.parameters.total,
            members=description.members,
            rule=description.decision.rule,
            fingerprint_id=description.fingerprint_id,
            metrics=metrics,
            cells=_cells(metrics),
            tested=predictions.read(folder / predictions.NAME).part("test"),
            trained_on=frozenset(clip_key(video_id, clip.sha256) for video_id, clip in known),
        )


@dataclass(frozen=True)
class PairedTest:
    """A run against the first one, on the test clips of both.

    Attributes:
        clips: How many these are.
        test: DeLong's; None where they are too few.
    """

    clips: int
    test: DeLong | None


def pair(one: Predictions, other: Predictions) -> PairedTest:
    """What `other` gains over `one`, on the clips that both were tested on with the same label."""
    where = {key: position for position, key in enumerate(other.keys)}
    positions = [
        (position, where[key])
        for position, key in enumerate(one.keys)
        if key in where and one.labels[position] == other.labels[where[key]]
    ]
    mine, theirs = np.array(positions, dtype=np.int64).reshape(-1, 2).T
    return PairedTest(
        len(positions), delong(other.labels[theirs], other.scores[theirs], one.scores[mine])
    )


def caveats(runs: Sequence[ComparedRun]) -> list[str]:
    """What forbids, or weakens, setting the runs side by side."""
    first = runs[0]
    notes = []
    for other in runs[1:]:
        own, theirs = set(first.tested.keys), set(other.tested.keys)
        if own != theirs:
            notes.append(
                f"{first.folder} and {other.folder} were tested on different clips: "
                f"{len(own & theirs)} in common, {len(own - theirs)} and {len(theirs - own)} not. "
                "Their figures cannot be compared; p is of the clips in common."
            )
        if first.fingerprint_id != other.fingerprint_id:
            notes.append(
                f"{first.folder} and {other.folder} were trained on features made in different "
                f"ways (fingerprints {first.fingerprint_id} and {other.fingerprint_id})."
            )
    for one in runs:
        for other in runs:
            leaked = len(set(one.tested.keys) & other.trained_on)
            if leaked:
                notes.append(
                    f"Leak: {leaked} test clips of {one.folder} are training or validation clips "
                    f"of {other.folder}."
                )
    if any(len(names) for names in first.tested.groups):
        notes.append(
            "DeLong's test takes clips for independent; where a person is in several, p is too "
            "small."
        )
    return notes


def rows(runs: Sequence[ComparedRun], paired: Sequence[PairedTest]) -> Rows:
    """A header, and a row for each run.

    Args:
        runs: The runs.
        paired: Of all but the first, against the first.
    """
    header = ["run", "model", "parameters", "test clips (real + fake)", "AUC"]
    header += ["balanced accuracy", "macro-F1", "threshold", "p against the first"]
    table = [header]
    for own, against in zip(runs, [None, *paired], strict=True):
        many = f"{own.members} × " if own.members > 1 else ""
        row = [str(own.folder), own.model, f"{many}{own.parameters:,}"]
        table.append([*row, *own.cells, own.rule, _p_value(against)])
    return table


def _cells(metrics: dict[str, Any] | None) -> list[str]:
    if metrics is None:
        return ["none", "–", "–", "–"]
    clips, intervals = metrics["clips"], metrics["intervals"]
    names = ("auc", "balanced_accuracy", "macro_f1")
    figures = [with_interval(metrics[name], intervals[name]) for name in names]
    return [f"{clips['real']} + {clips['fake']}", *figures]


def _p_value(paired: PairedTest | None) -> str:
    if paired is None or paired.test is None or paired.test.p_value is None:
        return "–"
    return f"{paired.test.p_value:.3f} ({paired.clips} clips)"


def report(runs: Sequence[ComparedRun], paired: Sequence[PairedTest]) -> list[dict[str, Any]]:
    """The same as plain JSON values."""
    return [
        {
            "run": str(own.folder),
            "model": own.model,
            "members": own.members,
            "parameters": own.parameters,
            "fingerprint_id": own.fingerprint_id,
            "threshold_rule": own.rule,
            "test": own.metrics,
            "against_first": None if against is None else _report_pair(against),
        }
        for own, against in zip(runs, [None, *paired], strict=True)
    ]


def _report_pair(paired: PairedTest) -> dict[str, Any]:
    difference, error, p_value = paired.test or (None, None, None)
    return {
        "clips": paired.clips,
        "auc_difference": difference,
        "standard_error": error,
        "p_value": p_value,
    }
