"""How the verdicts on clips change when the clips are distorted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.sequence.evaluation.intervals import bootstrap, units
from deepfake_seq.sequence.evaluation.metrics import Labels, Scores, auc
from deepfake_seq.sequence.evaluation.rates import Rate, grouped_rate
from deepfake_seq.sequence.evaluation.threshold import Decision

_RESAMPLES = 500

COLUMNS = {
    "AUC": "auc",
    "FPR": "fpr",
    "TPR": "tpr",
    "flips": "flips",
    "inconclusive": "inconclusive",
}
"""Columns of the table, and the key of each in the results."""


@dataclass(frozen=True, eq=False)
class ScoredClips:
    """Clips with their scores, in columns.

    Attributes:
        keys: Key identifying each clip.
        labels: (N,); 1 = fake, 0 = real.
        groups: Identities and source videos in each clip.
        scores: (N,); calibrated probabilities of fake.
        face_pixels: (N,); side of the face in pixels.
    """

    keys: tuple[str, ...]
    labels: Labels
    groups: tuple[tuple[str, ...], ...]
    scores: Scores
    face_pixels: npt.NDArray[np.float64]

    def take(self, keys: Sequence[str]) -> ScoredClips:
        """Return the clips with these keys, in their order."""
        place = {key: position for position, key in enumerate(self.keys)}
        chosen = [place[key] for key in keys]
        return ScoredClips(
            tuple(keys),
            self.labels[chosen],
            tuple(self.groups[at] for at in chosen),
            self.scores[chosen],
            self.face_pixels[chosen],
        )


def summarise(clips: ScoredClips, unchanged: ScoredClips, decision: Decision) -> dict[str, Any]:
    """Compare distorted clips with the same clips unchanged, at the threshold of the run.

    Args:
        clips: The distorted clips.
        unchanged: These clips, and possibly others, unchanged.
        decision: Threshold and abstention band of the run.

    Returns:
        Plain JSON values: `clips`, `groups`, `auc`, `fpr`, `tpr`, `flips` (fraction of clips with
        another verdict than unchanged), `inconclusive`, each None if the clips do not support it,
        and their `intervals`.
    """
    before = unchanged.take(clips.keys)
    unit = units(clips.groups, len(clips.keys))
    called = clips.scores >= decision.threshold
    verdicts, verdicts_before = (_verdicts(one, decision) for one in (clips, before))
    rates = {
        "fpr": _rate(called, unit, clips.labels == REAL),
        "tpr": _rate(called, unit, clips.labels == FAKE),
        "flips": grouped_rate(verdicts != verdicts_before, unit),
        "inconclusive": grouped_rate(verdicts == "inconclusive", unit),
    }
    interval = bootstrap(
        clips.labels, clips.scores, decision.threshold, unit, resamples=_RESAMPLES
    )["auc"]
    return {
        "clips": {
            "real": int((clips.labels == REAL).sum()),
            "fake": int((clips.labels == FAKE).sum()),
        },
        "groups": len(np.unique(unit)),
        "auc": auc(clips.labels, clips.scores),
        **{name: rate and rate.value for name, rate in rates.items()},
        "intervals": {
            "auc": interval and list(interval),
            **{name: rate and [rate.low, rate.high] for name, rate in rates.items()},
        },
    }


def rows(results: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return a header, and a row for each distortion; see `summarise`.

    Args:
        results: Results with the `name` of the distortion.
    """
    table = [["distortion", "real + fake", *COLUMNS]]
    for result in results:
        counts = result["clips"]
        cells = [_cell(result, key) for key in COLUMNS.values()]
        table.append([result["name"], f"{counts['real']} + {counts['fake']}", *cells])
    return table


def _cell(result: Mapping[str, Any], key: str) -> str:
    value, interval = result[key], result["intervals"][key]
    if value is None:
        return "–"
    if key == "auc":
        span = "–" if interval is None else "{:.2f}, {:.2f}".format(*interval)
        return f"{value:.3f} [{span}]"
    low, high = (round(100 * end) for end in interval)
    return f"{100 * value:.0f} % [{low}, {high}]"


def _verdicts(clips: ScoredClips, decision: Decision) -> npt.NDArray[np.object_]:
    """Return the verdict that `predict` gives on each clip without a table of conditions."""
    low, high = decision.band
    verdicts = np.where(clips.scores >= decision.threshold, "fake", "real").astype(object)
    verdicts[(low <= clips.scores) & (clips.scores < high)] = "inconclusive"
    verdicts[clips.face_pixels.round() < decision.smallest_face] = "inconclusive"
    return verdicts


def _rate(called: npt.NDArray[np.bool_], unit: npt.NDArray[np.int64], chosen: Any) -> Rate | None:
    return grouped_rate(called[chosen], unit[chosen])
