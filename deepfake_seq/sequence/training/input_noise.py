"""Random changes of a network's inputs in training, which keep few clips from being memorised.

The arrays are changed before they reach a trainer, so that every trainer trains on the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import TrainConfig
from deepfake_seq.sequence.data.features import Tensor
from deepfake_seq.sequence.data.preprocessing import Inputs


@dataclass(frozen=True)
class InputNoise:
    """Gaussian noise, then dropout of whole inputs (Srivastava et al., 2014), then of blocks.

    Attributes:
        deviation: Standard deviation of the noise, drawn anew for every input of every frame. The
            inputs are standardised, so that 1 is as large as their own variation.
        dropout: Fraction of the inputs that are set to 0, their mean. One choice is made per clip
            and holds for all its frames (as in Keras's `SpatialDropout1D`); the other inputs are
            scaled up by 1 / (1 - dropout).
        block_dropout: Fraction of the evidence blocks that are set to 0 in the inputs and in the
            statistics; nothing is scaled up. A clip that would lose all blocks keeps them.
        blocks: Width of each evidence block in the features.
    """

    deviation: float
    dropout: float
    block_dropout: float = 0.0
    blocks: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, config: TrainConfig, blocks: Mapping[str, int]) -> InputNoise:
        """Return the noise of a training on features with these blocks."""
        return cls(config.input_noise, config.input_dropout, config.block_dropout, blocks)

    def apply(self, inputs: Inputs, generator: np.random.Generator) -> Inputs:
        """Return a changed copy of the inputs; masked frames are set to 0."""
        mask, statistics = inputs.mask, inputs.statistics
        clips, _, width = inputs.frames.shape
        frames = np.where(mask[..., None], inputs.frames, np.float32(0.0))
        if self.deviation:
            noise = generator.standard_normal((int(mask.sum()), width), dtype=np.float32)
            frames[mask] += np.float32(self.deviation) * noise
        if self.dropout:
            kept = generator.random((clips, 1, width), dtype=np.float32) >= self.dropout
            frames *= kept / np.float32(1.0 - self.dropout)
        if self.block_dropout and len(self.blocks) > 1:
            kept = generator.random((clips, len(self.blocks))) >= self.block_dropout
            kept[~kept.any(axis=1)] = True
            frames *= self._spread(kept, width)[:, None]
            statistics = statistics * self._spread(kept, statistics.shape[1])
        return Inputs(frames, mask, statistics)

    def _spread(self, kept: npt.NDArray[np.bool_], width: int) -> Tensor:
        """Return (N, width) for (N, blocks): the blocks' columns, as often as they are repeated."""
        columns = np.repeat(kept, list(self.blocks.values()), axis=1).astype(np.float32)
        return np.tile(columns, width // columns.shape[1])
