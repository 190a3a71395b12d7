"""The feature store, which stage 2 reads."""

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
    """A batch of records as arrays.

    Attributes:
        video_ids: Ids of the B records.
        features: float16 (B, T, D); rows outside the mask are padding.
        mask: bool (B, T); True for valid frames.
        labels: int64 (B,); 1 = fake, 0 = real, -1 = unknown.
    """

    video_ids: tuple[str, ...]
    features: npt.NDArray[np.float16]
    mask: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.int64]


class FeatureStore(Store[FeatureRecord]):
    """Features of videos by `video_id`; see `Store`."""

    kind = FEATURES

    @classmethod
    def open(cls, path: Path | str) -> FeatureStore:
        """See `Store`."""
        return FeatureStore(Path(path), StoreDescription.read(Path(path), FEATURES))

    def batches(self, size: int, video_ids: Sequence[str] | None = None) -> Iterator[FeatureBatch]:
        """Yield records as NumPy arrays, `size` at a time; only one batch is in memory.

        Args:
            size: Number of records per batch; the last batch may have fewer.
            video_ids: Ids of the records, in the order to read them; by default all, sorted.
                Failed videos have a row, too, with an empty mask.

        Raises:
            KeyError: There is no record with one of the ids.
            StoreError: A record is damaged; the message names the video.
        """
        if size < 1:
            raise ValueError(f"size must be 1 or more. Received: {size}")
        selected = self.video_ids if video_ids is None else video_ids
        for start in range(0, len(selected), size):
            batch_ids = selected[start : start + size]
            records = list(self.records(batch_ids))
            yield FeatureBatch(
                tuple(batch_ids),
                np.stack([record.features for record in records]),
                np.stack([record.mask for record in records]),
                np.array([record.label for record in records], dtype=np.int64),
            )
