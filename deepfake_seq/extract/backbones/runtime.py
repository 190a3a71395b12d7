"""The interface of a CNN runtime, and building one by name."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import BackboneConfig


class CnnRuntime(Protocol):
    """A loaded CNN; only one thread may use it at a time.

    Attributes:
        batch: Number of crops per call at which it is fastest.
    """

    batch: int

    def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Compute the pooled features of crops.

        Args:
            crops_rgb: uint8 (N, S, S, 3) for any N; S is the backbone's `crop_size`.

        Returns:
            float32 (N, D).
        """
        ...


def build_runtime(runtime: str, config: BackboneConfig, weights: Path | None) -> CnnRuntime:
    """Build the CNN of `config` on `runtime`; import only what it needs.

    Args:
        runtime: One of `config.RUNTIMES`.
        config: The backbone and its precision.
        weights: Path of the weights file; None for seeded random weights.

    Raises:
        WeightsError: The weights file does not match the CNN.
        EngineError: The machine does not support the precision.
    """
    if runtime == "openvino":
        from deepfake_seq.extract.backbones.openvino import OpenVinoRuntime

        return OpenVinoRuntime(config, weights)
    from deepfake_seq.extract.backbones.keras import KerasRuntime

    return KerasRuntime(config, weights)
