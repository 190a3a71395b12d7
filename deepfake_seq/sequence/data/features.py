"""Features of many clips, in memory or read from a store on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from deepfake_seq.store import FeatureStore

Tensor = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Arrays = tuple[npt.NDArray[np.float16], Mask]
Rows = npt.NDArray[np.int64]

_BLOCK = 32
_BUFFER_BLOCKS = 128
"""4,096 clips of 16×2048 in float16 are 268 MB."""


class Features(Protocol):
    """Features (N, T, D) and masks (N, T) that are read by row.

    Attributes:
        shape: (N, T, D).
    """

    shape: tuple[int, int, int]

    def read(self, rows: Rows) -> Arrays:
        """Return features float16 (B, T, D) and mask bool (B, T) of `rows`, in their order.

        The features of masked frames are undefined.
        """
        ...

    def chunks(self, rows: Rows, generator: np.random.Generator) -> Iterator[Rows]:
        """Yield every position in `rows` once, in random chunks, for one epoch.

        Each chunk is small enough to be held in memory.
        """
        ...

    def hold(self, rows: Rows) -> tuple[Features, Rows]:
        """Read `rows` into memory; return these features and the row numbers in them."""
        ...


class ArrayFeatures:
    """Features in memory.

    Args:
        features: float16 (N, T, D), or another dtype if its reader expects that.
        mask: bool (N, T).
    """

    def __init__(self, features: npt.NDArray[Any], mask: npt.NDArray[np.bool_]) -> None:
        self._features = features
        self._mask = mask
        self.shape: tuple[int, int, int] = features.shape

    def read(self, rows: Rows) -> Arrays:
        """See `Features`."""
        return self._features[rows], self._mask[rows]

    def chunks(self, rows: Rows, generator: np.random.Generator) -> Iterator[Rows]:
        """See `Features`; a single chunk."""
        yield generator.permutation(len(rows))

    def hold(self, rows: Rows) -> tuple[Features, Rows]:
        """See `Features`."""
        return self, rows


class StoreFeatures:
    """Features on disk. Every record is verified each time it is read.

    Args:
        store: The store.
        video_ids: Id of the clip of each row, in the order on disk.
        shape: (T, D) of every clip.
    """

    def __init__(
        self, store: FeatureStore, video_ids: Sequence[str], shape: tuple[int, int]
    ) -> None:
        self._store = store
        self._video_ids = video_ids
        self.shape: tuple[int, int, int] = (len(video_ids), *shape)

    def read(self, rows: Rows) -> Arrays:
        """See `Features`.

        Raises:
            StoreError: A record is damaged; the message names the video.
        """
        features = np.empty((len(rows), *self.shape[1:]), dtype=np.float16)
        mask = np.empty((len(rows), self.shape[1]), dtype=np.bool_)
        disk_order = np.argsort(rows, kind="stable")
        video_ids = [self._video_ids[row] for row in rows[disk_order]]
        for position, record in zip(disk_order, self._store.records(video_ids), strict=True):
            features[position] = record.features
            mask[position] = record.mask
        return features, mask

    def chunks(self, rows: Rows, generator: np.random.Generator) -> Iterator[Rows]:
        """See `Features`. Each chunk mixes random blocks of clips that are adjacent on disk."""
        disk_order = np.argsort(rows, kind="stable")
        blocks = np.split(disk_order, np.arange(_BLOCK, len(rows), _BLOCK))
        order = generator.permutation(len(blocks))
        for start in range(0, len(order), _BUFFER_BLOCKS):
            chosen = [blocks[block] for block in order[start : start + _BUFFER_BLOCKS]]
            yield generator.permutation(np.concatenate(chosen))

    def hold(self, rows: Rows) -> tuple[Features, Rows]:
        """See `Features`."""
        return ArrayFeatures(*self.read(rows)), np.arange(len(rows))
