"""What every CNN runtime takes and gives."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import BackboneConfig


class CnnRuntime(Protocol):
    """A CNN that is ready to run, for one thread at a time.

    Attributes:
        batch: How many crops it wants in one call to be as fast as it can.
    """

    batch: int

    def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Pooled features.

        Args:
            crops_rgb: uint8 (N, S, S, 3), any N; S is the backbone's `crop_size`.

        Returns:
            float32 (N, D).
        """
        ...


def build_runtime(runtime: str, config: BackboneConfig, weights: Path | None) -> CnnRuntime:
    """The CNN of `config` on `runtime`; imports only what it needs.

    Args:
        runtime: One of `config.RUNTIMES`.
        config: The backbone and its precision.
        weights: Its weights file, or None for seeded noise.

    Raises:
        WeightsError: The weights do not fit.
        EngineError: The machine cannot run it in that precision.
    """
    if runtime == "openvino":
        from deepfake_seq.extract.backbones.openvino import OpenVinoRuntime

        return OpenVinoRuntime(config, weights)
    from deepfake_seq.extract.backbones.keras import KerasRuntime

    return KerasRuntime(config, weights)
