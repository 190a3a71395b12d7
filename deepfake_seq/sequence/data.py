"""Labelled sequences out of a feature store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import MIN_VALID_FRAMES
from deepfake_seq.datasets import FAKE, REAL, UNKNOWN
from deepfake_seq.errors import DatasetError
from deepfake_seq.store import FeatureRecord, FeatureStore


@dataclass(frozen=True, eq=False)
class SequenceData:
    """Clips to train on or to judge.

    Attributes:
        features: float16 (N, T, D); what stands in masked rows means nothing.
        mask: bool (N, T).
        labels: int64 (N,); 1 = fake, 0 = real.
        groups: The groups of each clip.
        parts: The part that the data set assigns to each clip, or "".
        video_ids: One for each clip.
        excluded: How many clips of the store were left out, by reason.
    """

    features: npt.NDArray[np.float16]
    mask: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.int64]
    groups: tuple[tuple[str, ...], ...]
    parts: tuple[str, ...]
    video_ids: tuple[str, ...]
    excluded: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def counts(self) -> dict[str, int]:
        """How many clips there are of each class."""
        return {"real": int((self.labels == REAL).sum()), "fake": int((self.labels == FAKE).sum())}

    def take(self, positions: npt.NDArray[np.int64]) -> SequenceData:
        """The clips at `positions`."""
        return SequenceData(
            self.features[positions],
            self.mask[positions],
            self.labels[positions],
            tuple(self.groups[position] for position in positions),
            tuple(self.parts[position] for position in positions),
            tuple(self.video_ids[position] for position in positions),
        )


def load(store: FeatureStore) -> SequenceData:
    """Read every labelled clip that shows enough of the face.

    Raises:
        DatasetError: The store holds no such clip.
        StoreError: A record is damaged.
    """
    excluded: Counter[str] = Counter()
    data = from_records(_usable(store, excluded))
    if not len(data):
        reasons = ", ".join(f"{count} {reason}" for reason, count in excluded.items())
        raise DatasetError(
            f"nothing to train on in {store.path}: "
            + (f"of its {len(store)} clips, {reasons}. " if reasons else "it is empty. ")
            + "Labels come from folders called real and fake, or from `deepseq extract --labels`."
        )
    data.excluded.update(excluded)
    return data


def from_records(records: Iterable[FeatureRecord]) -> SequenceData:
    """Stack records, in their order."""
    kept = list(records)
    if not kept:
        empty = np.zeros((0, 0, 0), dtype=np.float16)
        labels = np.zeros(0, dtype=np.int64)
        return SequenceData(empty, np.zeros((0, 0), dtype=bool), labels, (), (), ())
    return SequenceData(
        np.stack([record.features for record in kept]),
        np.stack([record.mask for record in kept]),
        np.array([record.label for record in kept], dtype=np.int64),
        tuple(record.groups for record in kept),
        tuple(record.split for record in kept),
        tuple(record.video_id for record in kept),
    )


def _usable(store: FeatureStore, excluded: Counter[str]) -> Iterable[FeatureRecord]:
    for record in store:
        if record.failed:
            excluded[f"failed ({record.status})"] += 1
        elif record.label == UNKNOWN:
            excluded["without a label"] += 1
        elif record.frames_valid < MIN_VALID_FRAMES:
            excluded[f"with fewer than {MIN_VALID_FRAMES} frames that show the face"] += 1
        else:
            yield record
