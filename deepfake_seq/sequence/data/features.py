"""Features of many clips, in memory or read from a store on demand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from deepfake_seq.errors import DatasetError
from deepfake_seq.store import FeatureRecord, FeatureStore
from deepfake_seq.store.records.record import EVIDENCE_FACT

Tensor = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Arrays = tuple[npt.NDArray[np.float16], Mask]
Rows = npt.NDArray[np.int64]

_BLOCK = 32
_BUFFER_BLOCKS = 128
"""4,096 clips of 16×2048 in float16 are 268 MB."""


FEATURES = "features"
"""Name of the first evidence block: the pooled output of the CNN."""

Block = npt.NDArray[np.float16]


def joined(blocks: Mapping[str, Block], names: Iterable[str]) -> Block:
    """Concatenate the named blocks to the features that models read, (T, D)."""
    return np.concatenate([blocks[name] for name in names], axis=1)


class Features(Protocol):
    """Features (N, T, D) and masks (N, T) that are read by row.

    Attributes:
        shape: (N, T, D).
        blocks: Width of each evidence block by name, in the order of the columns.
    """

    shape: tuple[int, int, int]
    blocks: Mapping[str, int]

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
        blocks: Width of each evidence block; by default, there is one.
    """

    def __init__(
        self,
        features: npt.NDArray[Any],
        mask: npt.NDArray[np.bool_],
        blocks: Mapping[str, int] | None = None,
    ) -> None:
        self._features = features
        self._mask = mask
        self.shape: tuple[int, int, int] = features.shape
        self.blocks: Mapping[str, int] = blocks or {FEATURES: features.shape[2]}

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
        frames: Number of frames T of every clip.
        blocks: Width of each evidence block to read.
    """

    def __init__(
        self,
        store: FeatureStore,
        video_ids: Sequence[str],
        frames: int,
        blocks: Mapping[str, int],
    ) -> None:
        self._store = store
        self._video_ids = video_ids
        self.blocks: Mapping[str, int] = blocks
        self.shape: tuple[int, int, int] = (len(video_ids), frames, sum(blocks.values()))

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
            features[position] = joined(record.blocks, self.blocks)
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
        return ArrayFeatures(*self.read(rows), self.blocks), np.arange(len(rows))


def columns_of(widths: Mapping[str, int], names: Iterable[str]) -> Rows:
    """Return the columns of the named blocks in features that contain all blocks.

    Args:
        widths: Width of each block in the features, in their order.
        names: Blocks to select.
    """
    ends = np.cumsum([0, *widths.values()])
    start = dict(zip(widths, ends.tolist(), strict=False))
    return np.concatenate([start[name] + np.arange(widths[name]) for name in names])


class SelectedBlocks:
    """Some blocks of other features; see `Features`.

    Args:
        features: Features with all blocks.
        names: Blocks to select.
    """

    def __init__(self, features: Features, names: Sequence[str]) -> None:
        self._features = features
        self._names = names
        self._columns = columns_of(features.blocks, names)
        self.blocks: Mapping[str, int] = {name: features.blocks[name] for name in names}
        self.shape: tuple[int, int, int] = (*features.shape[:2], len(self._columns))

    def read(self, rows: Rows) -> Arrays:
        """See `Features`."""
        features, mask = self._features.read(rows)
        return features[..., self._columns], mask

    def chunks(self, rows: Rows, generator: np.random.Generator) -> Iterator[Rows]:
        """See `Features`."""
        return self._features.chunks(rows, generator)

    def hold(self, rows: Rows) -> tuple[Features, Rows]:
        """See `Features`."""
        features, positions = self._features.hold(rows)
        return SelectedBlocks(features, self._names), positions


class CollectedFeatures:
    """Collects the features of records, in memory if all of them fit.

    Args:
        store: The store of the records.
        rows: Maximum number of records.
        memory_bytes: Maximum size of features held in memory; larger ones are streamed.
        evidence: Blocks to collect; by default those that every record has.
    """

    def __init__(
        self, store: FeatureStore, rows: int, memory_bytes: int, evidence: Sequence[str] = ()
    ) -> None:
        self._store = store
        self._rows = rows
        self._memory_bytes = memory_bytes
        self._evidence = tuple(evidence)
        self._video_ids: list[str] = []
        self._widths: dict[str, int] = {}
        self._settings: Mapping[str, Any] = {}
        self._names: tuple[str, ...] = ()
        self._frames = 0
        self._arrays: Arrays | None = None

    def __len__(self) -> int:
        return len(self._video_ids)

    def add(self, record: FeatureRecord) -> None:
        """Add the next row.

        Raises:
            DatasetError: The record lacks a requested block.
        """
        blocks = record.blocks
        if not self._video_ids:
            self._start(len(record.mask), blocks)
            self._settings = record.facts.get(EVIDENCE_FACT, {})
        missing = [name for name in self._names if name not in blocks]
        if missing and self._evidence:
            raise DatasetError(
                f"{record.video_id} in {self._store.path} lacks evidence blocks that --evidence "
                "names. Extract them with `deepseq extract --evidence`, or leave them out. "
                f"Received: {','.join(self._evidence)}; the clip has {','.join(blocks)}"
            )
        self._names = tuple(name for name in self._names if name in blocks)
        settings = record.facts.get(EVIDENCE_FACT, {})
        for name in self._names:
            if settings.get(name) != self._settings.get(name):
                raise DatasetError(
                    f"{self._store.path}: the evidence block {name} of {record.video_id} was "
                    f"extracted with other settings than that of {self._video_ids[0]}. Run the "
                    "same `deepseq extract` again, or leave the block out with --evidence. "
                    f"Received: {settings.get(name)} and {self._settings.get(name)}"
                )
        if self._arrays:
            row = len(self._video_ids)
            start = 0
            for name, width in self._widths.items():
                if name in self._names:
                    self._arrays[0][row, :, start : start + width] = blocks[name]
                start += width
            self._arrays[1][row] = record.mask
        self._video_ids.append(record.video_id)

    def features(self) -> Features:
        """Return the features of all rows that were added."""
        blocks = {name: self._widths[name] for name in self._names}
        if self._arrays is None:
            return StoreFeatures(self._store, self._video_ids, self._frames, blocks)
        features, mask = self._arrays
        if len(blocks) < len(self._widths):
            features = features[..., columns_of(self._widths, blocks)]
        return ArrayFeatures(features, mask, blocks)

    def _start(self, frames: int, blocks: Mapping[str, Block]) -> None:
        """Choose the blocks, and allocate memory for all rows if they fit."""
        self._names = self._evidence or tuple(blocks)
        self._frames = frames
        self._widths = {name: blocks[name].shape[1] for name in self._names if name in blocks}
        width = sum(self._widths.values())
        if 2 * self._rows * frames * width <= self._memory_bytes:
            self._arrays = (
                np.empty((self._rows, frames, width), dtype=np.float16),
                np.empty((self._rows, frames), dtype=np.bool_),
            )
