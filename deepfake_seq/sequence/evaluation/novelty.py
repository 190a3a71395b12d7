"""How unlike the clips of a run a clip is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from deepfake_seq.cores import algebra_for
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.data.features import Arrays, Tensor
from deepfake_seq.sequence.data.preprocessing import statistics

COMPONENTS = 16
"""Maximum number of principal components that describe what training clips have in common."""

MAX_CLIPS = 1_024
"""Maximum number of training clips, and of validation clips, that a member is fitted to."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Novelty:
    """How unlike the training clips a clip is, compared with the validation clips of a run.

    Attributes:
        clips: Number of validation clips.
        p: Fraction of clips, this one included, that are at least as unlike the training clips. It
            is a conformal p-value: at most x in a fraction x of all clips that are drawn like the
            validation clips.
    """

    clips: int
    p: float

    @property
    def sentence(self) -> str:
        """The comparison in words."""
        return (
            f"Novelty p-value {self.p:.3f} among {self.clips} validation clips; the smallest "
            f"possible one is {1 / (self.clips + 1):.3f}."
        )


@dataclass(frozen=True, eq=False)
class CommonSubspace:
    """Principal components of the training clips of one member, and how far others are from them.

    Attributes:
        mean: Mean of the training clips, float32 (D,).
        scale: Standard deviation of the training clips, float32 (D,); 1 for a constant value.
        components: Orthonormal rows, float32 (K, D); principal components of standardised clips.
        residuals: Residual of each validation clip of the member, float64 (N,).
    """

    mean: Tensor
    scale: Tensor
    components: Tensor
    residuals: Floats

    @classmethod
    def fit(cls, training: SequenceData, validation: SequenceData) -> CommonSubspace:
        """Compute the components of the training clips and the residuals of the validation clips.

        Args:
            training: Training clips; their views are not used.
            validation: Clips that share no group with them.
        """
        from sklearn.utils.extmath import randomized_svd

        rows = _clip_means(training).astype(np.float64)
        mean, deviation = rows.mean(axis=0), rows.std(axis=0)
        scale = np.where(deviation > 1e-4, deviation, 1.0)
        count = max(1, min(COMPONENTS, *(size - 1 for size in rows.shape)))
        with algebra_for(rows.size):
            _, _, components = randomized_svd((rows - mean) / scale, count, random_state=0)
        mean, scale, components = (part.astype(np.float32) for part in (mean, scale, components))
        subspace = cls(mean, scale, components, np.zeros(0))
        return replace(subspace, residuals=subspace.residuals_of(_clip_means(validation)))

    def residuals_of(self, rows: Tensor) -> Floats:
        """Return the mean square of each clip that the components leave unexplained, (N,).

        Args:
            rows: Mean features of each clip, (N, D).
        """
        standardised = (rows.astype(np.float64) - self.mean) / self.scale
        rest = standardised - standardised @ self.components.T @ self.components
        return np.asarray(np.square(rest).mean(axis=1))


@dataclass(frozen=True, eq=False)
class NoveltyScore:
    """Compares clips with the validation clips of all members (cross-conformal; Vovk, 2015).

    The residual of the clip is computed with the components of each member, and compared with those
    of the validation clips of this member, which it has not seen either.

    Attributes:
        members: The components and residuals of each member.
    """

    members: tuple[CommonSubspace, ...]

    @classmethod
    def fit(cls, pairs: Sequence[tuple[SequenceData, SequenceData]]) -> NoveltyScore:
        """Fit one member per pair of training and validation clips."""
        return cls(tuple(CommonSubspace.fit(*pair) for pair in pairs))

    @property
    def clips(self) -> int:
        """Number of validation clips."""
        return sum(len(member.residuals) for member in self.members)

    def of(self, arrays: Arrays) -> Novelty:
        """Compare a clip with the validation clips.

        Args:
            arrays: Features (1, T, D) and mask (1, T).
        """
        rows = statistics(arrays, "mean")
        above = sum(
            int((member.residuals >= member.residuals_of(rows)[0]).sum()) for member in self.members
        )
        return Novelty(self.clips, (1 + above) / (1 + self.clips))


def _clip_means(data: SequenceData) -> Tensor:
    """Return the mean features of up to `MAX_CLIPS` random clips, float32 (N, D)."""
    chosen = np.random.default_rng(0).permutation(len(data))[:MAX_CLIPS]
    data = data.take(np.sort(chosen))
    return np.concatenate([statistics(arrays, "mean") for arrays in data.batches()])
