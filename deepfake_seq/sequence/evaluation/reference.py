"""Where a clip lies among genuine clips of the same person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from deepfake_seq.sequence.evaluation.matched import CONDITIONS, distance_of
from deepfake_seq.sequence.evaluation.metrics import Scores

MIN_CLIPS = 9
"""Number of comparable genuine clips below which nothing is said: with 9, the smallest p is 0.1."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ReferenceComparison:
    """A clip among genuine clips of the same person.

    The p-values are conformal (Vovk et al., 2005): if the clip is genuine and exchangeable with the
    genuine clips, p is at most x in a fraction x of all cases.

    Attributes:
        clips: Number of genuine clips.
        comparable: Number of them that were recorded under similar conditions.
        reason: Why there are no p-values; "" if there are.
        score_p: Fraction of clips, this one included, that score at least as high; or None.
        novelty_p: Fraction of clips, this one included, that are at least as far from the nearest
            other genuine clip; or None.
    """

    clips: int
    comparable: int
    reason: str = ""
    score_p: float | None = None
    novelty_p: float | None = None

    @property
    def sentence(self) -> str:
        """The comparison in words."""
        if self.score_p is None or self.novelty_p is None:
            return f"Not compared with genuine clips of the person: {self.reason}."
        return (
            f"Among {self.comparable} genuine clips of the person under similar conditions, a "
            f"score this high has p {self.score_p:.2f}, and features this unusual have p "
            f"{self.novelty_p:.2f}; the smallest possible p is {1 / (self.comparable + 1):.2f}."
        )


@dataclass(frozen=True, eq=False)
class ReferenceClips:
    """Genuine clips of one person.

    Attributes:
        sha256s: SHA-256 of each video file.
        features: (N, D); mean features of each clip over its valid frames.
        scores: (N,); calibrated probability of fake.
        conditions: Conditions of each clip, with at least `CONDITIONS`; {} if unknown.
    """

    sha256s: tuple[str, ...]
    features: Floats
    scores: Scores
    conditions: tuple[Mapping[str, float], ...] = field(default=())

    def compare(
        self, sha256: str, features: Floats, score: float, conditions: Mapping[str, float]
    ) -> ReferenceComparison:
        """Compare a clip with the genuine clips that were recorded under similar conditions.

        Args:
            sha256: SHA-256 of the video file; the same file among the genuine clips is left out.
            features: (D,); mean features of the clip.
            score: Score of the clip.
            conditions: Conditions of the clip.
        """
        others = [at for at, one in enumerate(self.sha256s) if one != sha256]
        near = [at for at in others if _are_similar(conditions, self.conditions[at])]
        if len(near) < MIN_CLIPS:
            reason = (
                f"{len(near)} of {len(others)} were recorded under similar conditions (face size, "
                f"sharpness, compression); at least {MIN_CLIPS} are needed"
            )
            return ReferenceComparison(len(others), len(near), reason)
        novelty = _novelty(np.vstack([self.features[near], features]))
        count = len(near) + 1
        score_p = float(1 + (self.scores[near] >= score).sum()) / count
        novelty_p = float((novelty >= novelty[-1]).sum()) / count
        return ReferenceComparison(len(others), len(near), "", score_p, novelty_p)


def _are_similar(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    known = all(name in conditions for conditions in (one, other) for name in CONDITIONS)
    return known and bool((distance_of(one, other) < 1).all())


def _novelty(features: Floats) -> Floats:
    """Return the cosine distance of each clip to the nearest other one, (N,).

    Every clip, also the one in question, is compared with all others, so that genuine clips are
    exchangeable.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    directions = features / np.maximum(lengths, 1e-12)
    similar = directions @ directions.T
    np.fill_diagonal(similar, -np.inf)
    return np.asarray(1 - similar.max(axis=1)).round(9)
