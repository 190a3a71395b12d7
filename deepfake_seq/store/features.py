"""The feature store: what stage 2 reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepfake_seq.store.records.record import FeatureRecord
from deepfake_seq.store.shards.description import StoreDescription
from deepfake_seq.store.shards.kinds import FEATURES
from deepfake_seq.store.store import Store


@dataclass(frozen=True, eq=False)
class FeatureBatch:
    """Records side by side.

    Attributes:
        video_ids: B of them.
        features: float16 (B, T, D); rows that the mask does not hold mean nothing.
        mask: bool (B, T).
        labels: int64 (B,); 1 = fake, 0 = real, -1 = unknown.
    """

    video_ids: tuple[str, ...]
    features: npt.NDArray[np.float16]
    mask: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.int64]


class FeatureStore(Store[FeatureRecord]):
    """The features of videos by `video_id`; see `Store`."""

    kind = FEATURES

    @classmethod
    def open(cls, path: Path | str) -> FeatureStore:
        """See `Store`."""
        return FeatureStore(Path(path), StoreDescription.read(Path(path), FEATURES))

    def batches(self, size: int, video_ids: Sequence[str] | None = None) -> Iterator[FeatureBatch]:
        """Records as NumPy arrays, `size` at a time; no more than one batch is in memory.

        Args:
            size: How many records a batch holds; the last may hold fewer.
            video_ids: Which, and in which order; all by default, in the order of their ids. A
                failed video has a row too, with nothing in its mask.

        Raises:
            KeyError: There is no record of one of them.
            StoreError: One is damaged; the message names the video.
        """
        if size < 1:
            raise ValueError(f"size must be 1 or more. Received: {size}")
        wanted = self.video_ids if video_ids is None else video_ids
        for start in range(0, len(wanted), size):
            part = wanted[start : start + size]
            records = list(self.records(part))
            yield FeatureBatch(
                tuple(part),
                np.stack([record.features for record in records]),
                np.stack([record.mask for record in records]),
                np.array([record.label for record in records], dtype=np.int64),
            )
