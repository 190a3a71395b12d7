"""Runs on stores that they were not trained on: trained-on by tested-on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data.dataset import SequenceData, load
from deepfake_seq.sequence.evaluation import breakdown
from deepfake_seq.sequence.evaluation.intervals import units
from deepfake_seq.sequence.evaluation.metrics import at_threshold
from deepfake_seq.sequence.evaluation.predictions import Predictions
from deepfake_seq.sequence.evaluation.rates import grouped_rate
from deepfake_seq.sequence.reports.tables import Rows, format_metric, with_interval
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.runs.comparison import pair
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.sequence.splits import split_file
from deepfake_seq.sequence.splits.overlap import classify_overlap
from deepfake_seq.store import FeatureStore

_MAX_NAMED = 3
SIGNIFICANT = 0.05
"""Differences with a corrected p-value below this are marked."""


@dataclass(frozen=True, eq=False)
class TransferCell:
    """A run on a store.

    Attributes:
        run: Name of the run.
        store: Name of the store.
        own: Whether the run was trained on this store; only its test clips are evaluated then.
        refused: Why the run cannot be evaluated on the store; "" if it can.
        tested: The evaluated clips and their scores; None if refused.
        metrics: Metrics at the threshold of the run, see `metrics.at_threshold`, with `tpr`, `fpr`
            and their intervals; None if refused.
        methods: Results by manipulation method; see `breakdown.by_method`.
    """

    run: str
    store: str
    own: bool
    refused: str
    tested: Predictions | None = None
    metrics: dict[str, Any] | None = None
    methods: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class CorrectedTest:
    """DeLong's test of two runs on the clips of a store that both were evaluated on.

    Attributes:
        store: Name of the store.
        first: Name of a run.
        other: Name of another run.
        clips: Number of common clips.
        difference: AUC of `other` minus AUC of `first`.
        p_value: Two-sided p-value of this test alone; None if the test is undefined.
        corrected: p-value after Holm's correction for all tests of the matrix.
    """

    store: str
    first: str
    other: str
    clips: int
    difference: float | None
    p_value: float | None
    corrected: float | None


def evaluate_all(
    runs: Sequence[Path], stores: Sequence[Path]
) -> tuple[list[TransferCell], list[CorrectedTest]]:
    """Evaluate each run on each store, and compare the runs on each store.

    A run is never evaluated on clips that it knows. On the store that it was trained on, its test
    clips are evaluated. Another store is refused if it shares a video or an identity with the run.

    Args:
        runs: Run directories.
        stores: Feature stores.

    Returns:
        The cells, by store and then by run, and the tests.

    Raises:
        RunError: A run cannot be read.
        StoreError: A store cannot be read.
        DatasetError: A store has no labelled clip.
    """
    run_names, store_names = distinct_names(runs), distinct_names(stores)
    models = [run.load(folder) for folder in runs]
    splits = [split_file.read_split(folder) for folder in runs]
    cells = []
    for path, store_name in zip(stores, store_names, strict=True):
        with FeatureStore.open(path) as store:
            data = load(store, views=False)
            for name, model, split in zip(run_names, models, splits, strict=True):
                differences = model.fingerprint.incompatibilities(store.fingerprint)
                if differences:
                    reason = f"its features differ: {'; '.join(differences)}"
                    cells.append(TransferCell(name, store_name, False, reason))
                else:
                    cells.append(_cell(name, store_name, model, split, data))
    return cells, corrected_tests(cells)


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """Return the last part of each path, or the whole path where that is not unique."""
    names = [folder.resolve().name for folder in folders]
    return [
        name if names.count(name) == 1 else str(folder)
        for name, folder in zip(names, folders, strict=True)
    ]


def corrected_tests(cells: Sequence[TransferCell]) -> list[CorrectedTest]:
    """Compare each two runs on each store by DeLong's test, with Holm's correction."""
    found = []
    for first, other in combinations([cell for cell in cells if cell.tested is not None], 2):
        if first.store == other.store and first.tested and other.tested:
            found.append((first, other, pair(first.tested, other.tested)))
    p_values = [paired.test.p_value if paired.test else None for _, _, paired in found]
    return [
        CorrectedTest(
            first.store,
            first.run,
            other.run,
            paired.clips,
            paired.test.difference if paired.test else None,
            p_value,
            corrected,
        )
        for (first, other, paired), p_value, corrected in zip(
            found, p_values, holm(p_values), strict=True
        )
    ]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p-values for their number (Holm, 1979); None stays None and does not count."""
    known = sorted((p, at) for at, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p_value, at) in enumerate(known):
        largest = max(largest, min(p_value * (len(known) - rank), 1.0))
        corrected[at] = largest
    return corrected


def rows(cells: Sequence[TransferCell]) -> Rows:
    """Return a header, and a row for each cell and each manipulation method in it."""
    table = [["trained", "tested on", "clips", "AUC", "TPR", "FPR", "ECE"]]
    for cell in cells:
        tested_on = f"{cell.store} (own test clips)" if cell.own else cell.store
        if cell.metrics is None:
            table.append([cell.run, tested_on, "refused", "–", "–", "–", "–"])
            continue
        metrics, spans = cell.metrics, cell.metrics["intervals"]
        counts = metrics["clips"]
        table.append(
            [
                cell.run,
                tested_on,
                f"{counts['real']} + {counts['fake']}",
                *[with_interval(metrics[key], spans[key]) for key in ("auc", "tpr", "fpr")],
                format_metric(metrics["ece"]),
            ]
        )
        for method in cell.methods:
            values = [format_metric(method[key]) for key in ("auc", "recall")]
            table.append(["", f"  {method['name']}", f"+ {method['clips']}", *values, "", ""])
    return table


def report(cells: Sequence[TransferCell], tests: Sequence[CorrectedTest]) -> dict[str, Any]:
    """Return the matrix as plain JSON values."""
    return {
        "cells": [
            {
                "run": cell.run,
                "store": cell.store,
                "own": cell.own,
                "refused": cell.refused or None,
                "metrics": cell.metrics,
                "methods": list(cell.methods),
            }
            for cell in cells
        ],
        "tests": [vars(test) for test in tests],
    }


def _cell(
    name: str, store: str, model: SequenceModel, split: split_file.Split, data: SequenceData
) -> TransferCell:
    kinds = np.array(classify_overlap(data.clips, split), dtype=object)
    own = bool((kinds == "train").any() and (kinds == "test").any())
    evaluated = data.take(np.flatnonzero(kinds == ("test" if own else "unseen")))
    known = [
        clip.video_id for clip, kind in zip(data.clips, kinds, strict=True) if kind != "unseen"
    ]
    if known and not own:
        shown = ", ".join(known[:_MAX_NAMED])
        more = f" and {len(known) - _MAX_NAMED} more" if len(known) > _MAX_NAMED else ""
        reason = f"it shares videos or identities with the run: {shown}{more}"
        return TransferCell(name, store, own, reason)
    if not len(evaluated):
        raise DatasetError(f"{store} has no clip to evaluate {name} on")
    tested = Predictions.of("test", evaluated.clips_with_duplicates, model.scores(evaluated))
    threshold = model.decision.threshold
    metrics = at_threshold(
        tested.labels, tested.scores, threshold, band=model.decision.band, groups=tested.groups
    )
    unit = units(tested.groups, len(tested))
    for key, label in (("tpr", 1), ("fpr", 0)):
        chosen = tested.labels == label
        rate = grouped_rate((tested.scores >= threshold)[chosen], unit[chosen])
        metrics[key] = rate and rate.value
        metrics["intervals"][key] = rate and [rate.low, rate.high]
    return TransferCell(
        name, store, own, "", tested, metrics, breakdown.by_method(tested, threshold)
    )
