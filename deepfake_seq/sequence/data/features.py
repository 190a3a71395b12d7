"""Where the features of many clips are: in memory, or in a store and read as they are needed."""

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
        """Features float16 (B, T, D) and mask bool (B, T) of `rows`, in their order.

        What stands in masked rows of the features means nothing.
        """
        ...

    def chunks(self, rows: Rows, generator: np.random.Generator) -> Iterator[Rows]:
        """Positions in `rows`, each in one chunk, dealt out at random for one epoch.

        A chunk may be held in memory whole.
        """
        ...

    def hold(self, rows: Rows) -> tuple[Features, Rows]:
        """The features of `rows` in memory, and what their rows are there."""
        ...


class ArrayFeatures:
    """Features in memory.

    Args:
        features: float16 (N, T, D); or whatever is read in their place.
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
        """See `Features`."""
        yield generator.permutation(len(rows))

    def hold(self, rows: Rows) -> tuple[Features, Rows]:
        """See `Features`."""
        return self, rows


class StoreFeatures:
    """Features that stay on the disk. Every record is checked whenever it is read.

    Args:
        store: Where they are.
        video_ids: The clip of each row, in the order in which they lie on the disk.
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
        rising = np.argsort(rows, kind="stable")  # the order of the disk
        wanted = [self._video_ids[row] for row in rows[rising]]
        for position, record in zip(rising, self._store.records(wanted), strict=True):
            features[position] = record.features
            mask[position] = record.mask
        return features, mask

    def chunks(self, rows: Rows, generator: np.random.Generator) -> Iterator[Rows]:
        """See `Features`. Blocks that lie side by side are read together, and mixed with others."""
        rising = np.argsort(rows, kind="stable")
        blocks = np.split(rising, np.arange(_BLOCK, len(rows), _BLOCK))
        order = generator.permutation(len(blocks))
        for start in range(0, len(order), _BUFFER_BLOCKS):
            chosen = [blocks[block] for block in order[start : start + _BUFFER_BLOCKS]]
            yield generator.permutation(np.concatenate(chosen))

    def hold(self, rows: Rows) -> tuple[Features, Rows]:
        """See `Features`."""
        return ArrayFeatures(*self.read(rows)), np.arange(len(rows))
