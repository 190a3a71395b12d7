"""Can the classes be told apart without looking at a face?

Data sets often differ between real and fake in size, frame rate or compression. A model that learns
that scores well on their test clips and fails everywhere else. The probe asks how far metadata
alone would come.
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
_MAX_CLIPS = 5_000
_FOLDS = 5
_TREES = 40
_TOLD = 3
_MOST = 1e15
"""A fact beyond this, or that is no number, is not known."""

Table = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shortcut:
    """How well metadata alone tells fake from real.

    Attributes:
        auc: Of trees on all the facts, on clips of groups that it was not trained on; None where
            there are too few groups to tell.
        facts: The same for each fact by itself, by a small tree; the most telling first.
        clips: How many clips were looked at.
    """

    auc: float | None
    facts: dict[str, float] = field(default_factory=dict)
    clips: int = 0

    @property
    def warnings(self) -> list[str]:
        """What a reader of the metrics must be told."""
        if self.auc is None:
            return [
                "Whether metadata alone tells the classes apart could not be checked: there are "
                "too few groups of one class."
            ]
        if self.auc <= SUSPICIOUS_AUC:
            return []
        telling = [
            f"{name} {value:.2f}"
            for name, value in list(self.facts.items())[:_TOLD]
            if value > SUSPICIOUS_AUC
        ]
        return [
            f"Real and fake clips can be told apart without looking at a face: a probe on metadata "
            f"alone reaches AUC {self.auc:.2f}"
            + (f" (by themselves: {', '.join(telling)})" if telling else "")
            + ". The model may have learnt that and not the forgery; what it scores here need not "
            "hold elsewhere."
        ]


def probe(data: SequenceData, seed: int = 0) -> Shortcut:
    """Try to tell the classes apart by what is known of the files.

    Extremely randomised trees (Geurts et al. 2006) see frame size, frame rate, duration, bit rate,
    codec and the size of the face, and are tested on groups that they were not trained on. Splits
    at random places find facts that only tell the classes apart together, for which a random forest
    needs many more trees.

    Args:
        data: Clips of both classes; at most 5,000 of them are looked at.
        seed: Of the choice, the folds and the trees.
    """
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.tree import DecisionTreeClassifier

    if len(data) > _MAX_CLIPS:
        chosen = np.random.default_rng(seed).choice(len(data), _MAX_CLIPS, replace=False)
        data = data.take(np.sort(chosen))
    labels = data.labels
    table, names = _table(data.clips)
    try:
        folds = _most_folds(labels.tolist(), data.groups_with_duplicates, seed)
    except DatasetError:
        return Shortcut(None, clips=len(data))
    how: dict[str, Any] = {
        "min_samples_leaf": 2,
        "class_weight": "balanced",
        "random_state": seed,
    }
    trees = ExtraTreesClassifier(_TREES, max_features=None, **how)
    tree = DecisionTreeClassifier(max_depth=4, **how)
    alone = {
        name: _held_out_auc(tree, table[:, [column]], labels, folds)
        for column, name in enumerate(names)
    }
    known = {name: value for name, value in alone.items() if value is not None}
    facts = dict(sorted(known.items(), key=lambda item: -item[1]))
    return Shortcut(_held_out_auc(trees, table, labels, folds), facts, len(data))


def _held_out_auc(
    model: Any, table: Table, labels: npt.NDArray[np.int64], folds: list[Fold]
) -> float | None:
    """How well the model tells the classes apart in groups that it was not trained on."""
    scores = np.full(len(labels), np.nan)
    for fold in folds:
        model.fit(table[fold.rest], labels[fold.rest])
        scores[fold.held_out] = model.predict_proba(table[fold.held_out])[:, 1]
    judged = ~np.isnan(scores)
    return auc(labels[judged], scores[judged])


def _most_folds(labels: list[int], groups: list[tuple[str, ...]], seed: int) -> list[Fold]:
    """As many folds as the groups allow, at most five and at least two."""
    for count in range(_FOLDS, 2, -1):
        with contextlib.suppress(DatasetError):
            return grouped_folds(labels, groups, count, seed)
    return grouped_folds(labels, groups, 2, seed)


def _table(clips: tuple[Clip, ...]) -> tuple[Table, list[str]]:
    """One row a clip, and what the columns are; -1 where a fact is not known."""
    columns = {
        "width": [_number(clip, "width") for clip in clips],
        "height": [_number(clip, "height") for clip in clips],
        "frame rate": [_number(clip, "fps") for clip in clips],
        "duration": [_number(clip, "duration_seconds") for clip in clips],
        "file size": [float(clip.size_bytes) for clip in clips],
        "bit rate": [_bit_rate(clip) for clip in clips],
        "face size": [clip.face_pixels for clip in clips],
        "face size in the frame": [_face_share(clip) for clip in clips],
    }
    for codec in sorted({str(clip.facts.get("codec", "")) for clip in clips}):
        columns[f"codec {codec}"] = [float(clip.facts.get("codec", "") == codec) for clip in clips]
    return np.array(list(columns.values())).T, list(columns)


def _number(clip: Clip, name: str) -> float:
    value = clip.facts.get(name)
    sensible = isinstance(value, int | float) and abs(value) < _MOST
    return float(value) if sensible else -1.0  # type: ignore[arg-type]


def _bit_rate(clip: Clip) -> float:
    seconds = _number(clip, "duration_seconds")
    return 8.0 * clip.size_bytes / seconds if seconds > 0 else -1.0


def _face_share(clip: Clip) -> float:
    side = min(_number(clip, "width"), _number(clip, "height"))
    return clip.face_pixels / side if side > 0 else -1.0
