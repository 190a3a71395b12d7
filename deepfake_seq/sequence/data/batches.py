"""Batches of preprocessed clips for training and validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepfake_seq.config import TRAINING_MEMORY_BYTES
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.data.features import ArrayFeatures, Rows
from deepfake_seq.sequence.data.preprocessing import Inputs, Preprocessor

_BATCH = 256


@dataclass(frozen=True, eq=False)
class BatchLoader:
    """Clips with their preprocessing, applied once if the result fits into memory.

    Attributes:
        data: The clips.
        preprocessor: Preprocessing to apply to each batch; None if `data` is preprocessed.
    """

    data: SequenceData
    preprocessor: Preprocessor | None

    @classmethod
    def of(cls, preprocessor: Preprocessor, data: SequenceData) -> BatchLoader:
        """Create a loader for the clips of `data`."""
        frames = data.features.shape[1]
        width, count = len(preprocessor.frames.mean), len(preprocessor.statistics.mean)
        if 4 * len(data) * (frames * width + count) > TRAINING_MEMORY_BYTES:
            return cls(data, preprocessor)
        inputs = Inputs(
            np.empty((len(data), frames, width), dtype=np.float32),
            np.empty((len(data), frames), dtype=np.bool_),
            np.empty((len(data), count), dtype=np.float32),
        )
        start = 0
        for features, mask in data.batches(_BATCH):
            for array, values in zip(inputs, preprocessor.apply(features, mask), strict=True):
                array[start : start + len(mask)] = values
            start += len(mask)
        preprocessed: Any = _Preprocessed(inputs)
        clips = tuple(replace(clip, views=()) if clip.views else clip for clip in data.clips)
        return cls(SequenceData(clips, preprocessed, np.arange(len(data))), None)

    def __len__(self) -> int:
        return len(self.data)

    def batches(self) -> Iterator[Inputs]:
        """Yield the inputs of all clips, in their order."""
        for arrays in self.data.batches(_BATCH):
            yield self._preprocess(arrays)

    def epoch(
        self, size: int, generator: np.random.Generator, *, balanced: bool
    ) -> Iterator[tuple[Inputs, Rows]]:
        """Yield preprocessed batches of one epoch; see `SequenceData.epoch`."""
        for arrays, positions in self.data.epoch(size, generator, balanced=balanced):
            yield self._preprocess(arrays), positions

    def _preprocess(self, arrays: Any) -> Inputs:
        return self.preprocessor.apply(*arrays) if self.preprocessor else arrays


class _Preprocessed(ArrayFeatures):
    """Inputs in memory; `read` returns them instead of features."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__(inputs.frames, inputs.mask)
        self._inputs = inputs

    def read(self, rows: Rows) -> Any:
        """Return the `Inputs` of `rows`, in their order."""
        frames, mask, statistics = self._inputs
        return Inputs(frames[rows], mask[rows], statistics[rows])
