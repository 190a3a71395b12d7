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

_POOL = 2**20
"""Number of random values that the noise of all batches is taken from."""


@dataclass(frozen=True)
class NoiseSettings:
    """Gaussian noise, then dropout of whole inputs (Srivastava et al., 2014), then of blocks.

    Attributes:
        deviation: Standard deviation of the noise, different for every input of every frame. The
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
    def of(cls, config: TrainConfig, blocks: Mapping[str, int]) -> NoiseSettings:
        """Return the settings of a training on features with these blocks."""
        return cls(config.input_noise, config.input_dropout, config.block_dropout, blocks)


class InputNoise:
    """Changes the inputs of one training at random.

    Drawing a normal value takes longer than the network needs to use it. Therefore the values are
    drawn once, and the noise of a clip is a part of them that starts at a random place.

    Args:
        settings: What to change.
        shape: Number of frames T and of inputs W of a clip.
        generator: Source of all random numbers.
    """

    def __init__(
        self, settings: NoiseSettings, shape: tuple[int, int], generator: np.random.Generator
    ) -> None:
        self._settings = settings
        self._generator = generator
        self._pool = np.zeros(0, dtype=np.float32)
        if settings.deviation:
            size = max(_POOL, 2 * shape[0] * shape[1])
            self._pool = generator.standard_normal(size, dtype=np.float32)
            self._pool *= np.float32(settings.deviation)

    def apply(self, inputs: Inputs) -> Inputs:
        """Return changed inputs; masked frames are set to 0. The given frames are overwritten."""
        frames, mask, statistics = inputs
        factors = self._factors(len(frames), frames.shape[2])
        for clip, (rows, count) in enumerate(zip(frames, mask.sum(axis=1).tolist(), strict=True)):
            rows[count:] = 0
            rows = rows[:count]
            if len(self._pool):
                start = int(self._generator.integers(len(self._pool) - rows.size))
                rows += self._pool[start : start + rows.size].reshape(rows.shape)
            if factors is not None:
                rows *= factors[clip]
        if self._settings.block_dropout and len(self._settings.blocks) > 1:
            kept = self._kept_blocks(len(frames))
            frames *= self._spread(kept, frames.shape[2])[:, None]
            statistics = statistics * self._spread(kept, statistics.shape[1])
        return Inputs(frames, mask, statistics)

    def _factors(self, clips: int, width: int) -> Tensor | None:
        """Return the factor of each input of each clip, (N, W): 0, or above 1; None for none."""
        dropout = self._settings.dropout
        if not dropout:
            return None
        kept = self._generator.random((clips, width), dtype=np.float32) >= dropout
        return np.asarray(kept / np.float32(1.0 - dropout))

    def _kept_blocks(self, clips: int) -> npt.NDArray[np.bool_]:
        """Return bool (N, blocks)."""
        settings = self._settings
        kept = self._generator.random((clips, len(settings.blocks))) >= settings.block_dropout
        kept[~kept.any(axis=1)] = True
        return np.asarray(kept)

    def _spread(self, kept: npt.NDArray[np.bool_], width: int) -> Tensor:
        """Return (N, width) for (N, blocks): the blocks' columns, as often as they are repeated."""
        widths = list(self._settings.blocks.values())
        columns = np.repeat(kept, widths, axis=1).astype(np.float32)
        return np.tile(columns, width // columns.shape[1])
