"""Test whether metadata alone separates real from fake clips.

In many datasets, real and fake clips differ in size, frame rate or compression. A model that learns
this shortcut scores well on their test clips and fails on other videos.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import Fold, grouped_folds
from deepfake_seq.errors import DatasetError
from deepfake_seq.sequence.data.dataset import Clip, SequenceData
from deepfake_seq.sequence.evaluation.metrics import auc

SUSPICIOUS_AUC = 0.65
_PREDICTABLE_R2 = 0.5
_MAX_CLIPS = 5_000
_FOLDS = 5
_TREES = 40
_MAX_NAMED = 3
_MAX_VALUE = 1e15
"""A larger value, or one that is not a number, counts as unknown."""

Table = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shortcut:
    """How well metadata alone separates real from fake clips.

    Attributes:
        auc: Cross-validated AUC of trees on all metadata; None if there are too few groups.
        facts: Cross-validated AUC of a small tree on each value alone, in descending order.
        clips: Number of clips used.
        blocks: R² with which each evidence block predicts each of some facts; see `block_probe`.
    """

    auc: float | None
    facts: dict[str, float] = field(default_factory=dict)
    clips: int = 0
    blocks: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """Warning if a shortcut was found or could not be ruled out."""
        if self.auc is None:
            return [
                "The check whether metadata alone separates real from fake was skipped: one class "
                "has too few groups."
            ]
        if self.auc <= SUSPICIOUS_AUC:
            return []
        named = [
            f"{name} {value:.2f}"
            for name, value in list(self.facts.items())[:_MAX_NAMED]
            if value > SUSPICIOUS_AUC
        ]
        return [
            "Real and fake clips differ in their metadata: a classifier on metadata alone reaches "
            f"AUC {self.auc:.2f}"
            + (f" (single values: {', '.join(named)})" if named else "")
            + ". The model may have learnt this shortcut instead of the forgery, and may score "
            "lower on other data." + self._predictable
        ]

    @property
    def _predictable(self) -> str:
        """Sentence that names the facts that each block predicts well, if any."""
        named = [
            f"{block} ({', '.join(f'{fact} {r2:.2f}' for fact, r2 in facts.items())})"
            for block, values in self.blocks.items()
            if (facts := {fact: r2 for fact, r2 in values.items() if r2 > _PREDICTABLE_R2})
        ]
        if not named:
            return ""
        return f" Evidence blocks that predict such values, with R²: {', '.join(named)}."


def probe(data: SequenceData, seed: int = 0) -> Shortcut:
    """Cross-validate a classifier of real and fake on metadata alone.

    Extremely randomised trees (Geurts et al., 2006) use frame size, frame rate, duration, bit rate,
    codec and face size, and are tested on groups that they were not trained on. Their random
    thresholds find values that separate the classes only in combination, for which a random forest
    needs many more trees.

    Args:
        data: Clips of both classes; at most 5,000 of them are used.
        seed: Seed of the sample, the folds and the trees.
    """
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.tree import DecisionTreeClassifier

    if len(data) > _MAX_CLIPS:
        chosen = np.random.default_rng(seed).choice(len(data), _MAX_CLIPS, replace=False)
        data = data.take(np.sort(chosen))
    labels = data.labels
    table, names = fact_table(data.clips)
    try:
        folds = probe_folds(data, seed)
    except DatasetError:
        return Shortcut(None, clips=len(data))
    tree_options: dict[str, Any] = {
        "min_samples_leaf": 2,
        "class_weight": "balanced",
        "random_state": seed,
    }
    trees = ExtraTreesClassifier(_TREES, max_features=None, **tree_options)
    tree = DecisionTreeClassifier(max_depth=4, **tree_options)
    auc_of_fact = {
        name: _held_out_auc(tree, table[:, [column]], labels, folds)
        for column, name in enumerate(names)
    }
    known = {name: value for name, value in auc_of_fact.items() if value is not None}
    facts = dict(sorted(known.items(), key=lambda item: -item[1]))
    return Shortcut(_held_out_auc(trees, table, labels, folds), facts, len(data))


def _held_out_auc(
    model: Any, table: Table, labels: npt.NDArray[np.int64], folds: list[Fold]
) -> float | None:
    """Return the AUC of the model on the held-out clips of all folds; None if undefined."""
    from sklearn import config_context

    scores = np.full(len(labels), np.nan)
    # Checking the same arrays again for each of 40 trees takes a third of the time.
    with config_context(assume_finite=True, skip_parameter_validation=True):
        for fold in folds:
            model.fit(table[fold.rest], labels[fold.rest])
            scores[fold.held_out] = model.predict_proba(table[fold.held_out])[:, 1]
    scored = ~np.isnan(scores)
    return auc(labels[scored], scores[scored])


def probe_folds(data: SequenceData, seed: int) -> list[Fold]:
    """Return five grouped folds, or fewer if there are few groups, but at least two.

    Raises:
        DatasetError: There are too few groups for two.
    """
    labels, groups = data.labels.tolist(), data.groups_with_duplicates
    for count in range(_FOLDS, 2, -1):
        with contextlib.suppress(DatasetError):
            return grouped_folds(labels, groups, count, seed)
    return grouped_folds(labels, groups, 2, seed)


def fact_table(clips: tuple[Clip, ...]) -> tuple[Table, list[str]]:
    """Return one row per clip, with -1 for unknown values, and the names of the columns."""
    columns = {
        "width": [_number(clip, "width") for clip in clips],
        "height": [_number(clip, "height") for clip in clips],
        "frame rate": [_number(clip, "fps") for clip in clips],
        "duration": [_number(clip, "duration_seconds") for clip in clips],
        "file size": [float(clip.size_bytes) for clip in clips],
        "bit rate": [_bit_rate(clip) for clip in clips],
        "face size": [clip.face_pixels for clip in clips],
        "face size in the frame": [_relative_face_size(clip) for clip in clips],
    }
    for codec in sorted({str(clip.facts.get("codec", "")) for clip in clips}):
        columns[f"codec {codec}"] = [float(clip.facts.get("codec", "") == codec) for clip in clips]
    return np.array(list(columns.values())).T, list(columns)


def _number(clip: Clip, name: str) -> float:
    value = clip.facts.get(name)
    known = isinstance(value, int | float) and abs(value) < _MAX_VALUE
    return float(value) if known else -1.0  # type: ignore[arg-type]


def _bit_rate(clip: Clip) -> float:
    seconds = _number(clip, "duration_seconds")
    return 8.0 * clip.size_bytes / seconds if seconds > 0 else -1.0


def bits_per_pixel(clip: Clip) -> float:
    """Return the size of a video in bits per pixel of its frames; negative if it is unknown."""
    values = [_bit_rate(clip), *(_number(clip, name) for name in ("width", "height", "fps"))]
    if min(values) <= 0:
        return -1.0
    bit_rate, width, height, fps = values
    return bit_rate / (width * height * fps)


def _relative_face_size(clip: Clip) -> float:
    side = min(_number(clip, "width"), _number(clip, "height"))
    return clip.face_pixels / side if side > 0 else -1.0
