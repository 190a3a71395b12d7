"""Clips as a network is shown them, epoch after epoch."""

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
    """Clips with their preprocessing: done once where that fits into memory, else at each reading.

    Attributes:
        data: The clips.
        preprocessor: What is still to be done with their features; None where it is done.
    """

    data: SequenceData
    preprocessor: Preprocessor | None

    @classmethod
    def of(cls, preprocessor: Preprocessor, data: SequenceData) -> BatchLoader:
        """The clips of `data`."""
        frames, width = data.features.shape[1], len(preprocessor.mean)
        if 4 * len(data) * frames * width > TRAINING_MEMORY_BYTES:
            return cls(data, preprocessor)
        shown = np.empty((len(data), frames, width), dtype=np.float32)
        mask = np.empty((len(data), frames), dtype=np.bool_)
        start = 0
        for features, own in data.batches(_BATCH):
            span = slice(start, start + len(own))
            shown[span], mask[span] = preprocessor.apply(features, own), own
            start += len(own)
        held: Any = ArrayFeatures(shown, mask)
        clips = tuple(replace(clip, views=()) if clip.views else clip for clip in data.clips)
        return cls(SequenceData(clips, held, np.arange(len(data))), None)

    def __len__(self) -> int:
        return len(self.data)

    def batches(self) -> Iterator[tuple[Tensor, Mask]]:
        """What a network is shown of all clips, (B, T, W) and (B, T), in their order."""
        for arrays in self.data.batches(_BATCH):
            yield self._prepared(*arrays)

    def epoch(
        self, size: int, generator: np.random.Generator, *, balanced: bool
    ) -> Iterator[tuple[tuple[Tensor, Mask], npt.NDArray[np.int64]]]:
        """See `SequenceData.epoch`."""
        for arrays, labels in self.data.epoch(size, generator, balanced=balanced):
            yield self._prepared(*arrays), labels

    def _prepared(self, features: Any, mask: Mask) -> tuple[Tensor, Mask]:
        if self.preprocessor is None:
            return features, mask
        return self.preprocessor.apply(features, mask), mask
