"""The interface of a CNN runtime, and building one by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import INT8, BackboneConfig
from deepfake_seq.errors import UsageError
from deepfake_seq.extract.backbones.outputs import Inputs
from deepfake_seq.extract.backbones.ranges import Ranges


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


class BlockRuntime(CnnRuntime, Protocol):
    """A loaded CNN that computes the outputs it was built with; see `outputs.INPUTS_OF`.

    Its method `features` may be called only if it was built with the output `features` alone.

    Attributes:
        cells: Rows and columns of the fine map; None if no output is averaged over face regions.
    """

    cells: tuple[int, int] | None

    def rows(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Compute the outputs of faces.

        Args:
            inputs: The inputs of N faces that the outputs need, for any N; others are ignored.

        Returns:
            float32 (N, sum of all widths); the outputs of each face one after the other.
        """
        ...


def require_openvino_for_int8(runtime: str, config: BackboneConfig) -> None:
    """Raise `UsageError` if the precision is int8 and the runtime is not OpenVINO."""
    if config.precision == INT8 and runtime != "openvino":
        raise UsageError(
            f"int8 is for CPUs and needs --runtime openvino. Received: --runtime {runtime}"
        )


def build_runtime(
    runtime: str,
    config: BackboneConfig,
    weights: Path | None,
    outputs: Sequence[str] = ("features",),
    ranges: Ranges | None = None,
) -> BlockRuntime:
    """Build the CNN of `config` on `runtime`; import only what it needs.

    Args:
        runtime: One of `config.RUNTIMES`.
        config: The backbone and its precision.
        weights: Path of the weights file; None for seeded random weights.
        outputs: Names of the outputs, at least one.
        ranges: Ranges of the CNN for precision int8; None for the others.

    Raises:
        UsageError: The runtime does not support the precision.
        WeightsError: The weights file does not match the CNN.
        EngineError: The machine does not support the precision.
    """
    require_openvino_for_int8(runtime, config)
    if (config.precision == INT8) != (ranges is not None):
        raise ValueError(f"ranges are for int8, which needs them. Received: {config.precision}")
    if runtime == "openvino":
        from deepfake_seq.extract.backbones.openvino import OpenVinoRuntime

        return OpenVinoRuntime(config, weights, outputs, ranges)
    from deepfake_seq.extract.backbones.keras import KerasRuntime

    return KerasRuntime(config, weights, outputs)
