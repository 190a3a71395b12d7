"""Batches of preprocessed clips for training and validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import TRAINING_MEMORY_BYTES
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.data.features import ArrayFeatures, Mask, Tensor
from deepfake_seq.sequence.data.preprocessing import Preprocessor

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
        frames, width = data.features.shape[1], len(preprocessor.mean)
        if 4 * len(data) * frames * width > TRAINING_MEMORY_BYTES:
            return cls(data, preprocessor)
        inputs = np.empty((len(data), frames, width), dtype=np.float32)
        masks = np.empty((len(data), frames), dtype=np.bool_)
        start = 0
        for features, mask in data.batches(_BATCH):
            batch = slice(start, start + len(mask))
            inputs[batch], masks[batch] = preprocessor.apply(features, mask), mask
            start += len(mask)
        preprocessed: Any = ArrayFeatures(inputs, masks)
        clips = tuple(replace(clip, views=()) if clip.views else clip for clip in data.clips)
        return cls(SequenceData(clips, preprocessed, np.arange(len(data))), None)

    def __len__(self) -> int:
        return len(self.data)

    def batches(self) -> Iterator[tuple[Tensor, Mask]]:
        """Yield inputs (B, T, W) and masks (B, T) of all clips, in their order."""
        for arrays in self.data.batches(_BATCH):
            yield self._preprocess(*arrays)

    def epoch(
        self, size: int, generator: np.random.Generator, *, balanced: bool
    ) -> Iterator[tuple[tuple[Tensor, Mask], npt.NDArray[np.int64]]]:
        """Yield preprocessed batches of one epoch; see `SequenceData.epoch`."""
        for arrays, labels in self.data.epoch(size, generator, balanced=balanced):
            yield self._preprocess(*arrays), labels

    def _preprocess(self, features: Any, mask: Mask) -> tuple[Tensor, Mask]:
        if self.preprocessor is None:
            return features, mask
        return self.preprocessor.apply(features, mask), mask
