"""How much each frame of a person contributes to the score: a pure function of features.

If the model's logit is the mean of a logit of each frame, the contribution of a frame is its own
logit, and the frame has a score of its own. This is checked on the clip itself, so it holds for any
network. Otherwise, the contribution is the change of the logit when the frame is left out; the
contributions do not add up to the logit then.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deepfake_seq.sequence.data.features import Arrays
from deepfake_seq.sequence.models.networks import mean_logits
from deepfake_seq.sequence.runs.run import SequenceModel

_TOLERANCE = 1e-4
"""Largest difference of logits, relative to 1 plus their size, that counts as rounding."""

Values = npt.NDArray[np.float64]


class FrameContributions(NamedTuple):
    """The contribution of each valid frame of one person, in chronological order.

    Attributes:
        log_odds: float64 (K,); above 0 speaks for fake. The log-odds of the frame's own score if
            `is_exact`, else by how much the frame raises the log-odds of the person's score.
        scores: float64 (K,); calibrated probability of fake of each frame. None unless `is_exact`.
        is_exact: Whether the model judges each frame by itself and takes the mean.
    """

    log_odds: Values
    scores: Values | None
    is_exact: bool


def frame_contributions(model: SequenceModel, arrays: Arrays) -> FrameContributions:
    """Return the contribution of each frame of one person.

    Args:
        model: The model.
        arrays: Features (1, T, D) and mask (1, T) with at least two valid frames.
    """
    features, mask = arrays
    count = int(mask.sum())
    rows = features[0, :count]
    own = mean_logits(model.members, (rows[:, None], np.ones((count, 1), dtype=np.bool_)))
    others = [np.delete(rows, at, axis=0) for at in range(count)]
    logits = mean_logits(model.members, _batch([rows, *others], count))
    total, without = logits[0], logits[1:]
    calibration = model.calibration
    if _is_mean(total, own, without):
        log_odds = calibration.slope * own + calibration.intercept
        return FrameContributions(log_odds, calibration.apply(own), True)
    return FrameContributions(calibration.slope * (total - without), None, False)


def _is_mean(total: float, own: Values, without: Values) -> bool:
    """Return whether logits are means over frames: that of the clip, and those without a frame."""
    count = len(own)
    expected = np.concatenate([[own.mean()], (own.sum() - own) / (count - 1)])
    found = np.concatenate([[total], without])
    return bool((np.abs(found - expected) <= _TOLERANCE * (1 + np.abs(found))).all())


def _batch(clips: list[npt.NDArray[np.float16]], frames: int) -> Arrays:
    """Return clips of different lengths as features (N, T, D) and mask (N, T)."""
    features = np.zeros((len(clips), frames, clips[0].shape[1]), dtype=clips[0].dtype)
    mask = np.zeros((len(clips), frames), dtype=np.bool_)
    for row, clip in enumerate(clips):
        features[row, : len(clip)] = clip
        mask[row, : len(clip)] = True
    return features, mask
