"""Random changes of a network's inputs in training, which keep few clips from being memorised.

The arrays are changed before they reach a trainer, so that every trainer trains on the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepfake_seq.sequence.data.features import Mask, Tensor


@dataclass(frozen=True)
class InputNoise:
    """Gaussian noise, then dropout of whole inputs (Srivastava et al., 2014).

    Attributes:
        deviation: Standard deviation of the noise, drawn anew for every input of every frame. The
            inputs are standardised, so that 1 is as large as their own variation.
        dropout: Fraction of the inputs that are set to 0, their mean. One choice is made per clip
            and holds for all its frames (as in Keras's `SpatialDropout1D`); the other inputs are
            scaled up by 1 / (1 - dropout).
    """

    deviation: float
    dropout: float

    def apply(self, inputs: Tensor, mask: Mask, generator: np.random.Generator) -> Tensor:
        """Return a changed copy of the inputs; masked frames are set to 0.

        Args:
            inputs: Standardised inputs, float32 (N, T, W).
            mask: bool (N, T); True for a valid frame.
            generator: Random generator.
        """
        clips, _, width = inputs.shape
        changed = np.where(mask[..., None], inputs, np.float32(0.0))
        if self.deviation:
            noise = generator.standard_normal((int(mask.sum()), width), dtype=np.float32)
            changed[mask] += np.float32(self.deviation) * noise
        if self.dropout:
            kept = generator.random((clips, 1, width), dtype=np.float32) >= self.dropout
            changed *= kept / np.float32(1.0 - self.dropout)
        return changed
