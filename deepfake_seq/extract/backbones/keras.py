"""The CNN on Keras, compiled by the active backend: TensorFlow, or JAX for GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.backend import has_gpu, load_keras
from deepfake_seq.config import BackboneConfig
from deepfake_seq.extract.backbones.outputs import Inputs, build_outputs, width_of
from deepfake_seq.extract.backbones.table import backbone_of

BATCH = 16
"""Number of images per batch on a CPU."""

GPU_BATCH = 128
"""Number of images per batch on a GPU."""


class KerasRuntime:
    """See `BlockRuntime`.

    All batches have the same size, the last one is padded, so that the values of a clip do not
    depend on the clips extracted with it. Images are sent to the device as bytes.

    Args:
        config: The backbone and its precision.
        weights: Path of the weights file; None for seeded random weights.
        outputs: Names of the outputs; see `outputs.INPUTS_OF`.
        batch: Number of faces per batch; None for the default of the device.
    """

    def __init__(
        self,
        config: BackboneConfig,
        weights: Path | None,
        outputs: Sequence[str] = ("features",),
        batch: int | None = None,
    ) -> None:
        keras = load_keras()

        self.batch = batch or (GPU_BATCH if has_gpu() else BATCH)
        row = backbone_of(config.name, weights)
        self._width = sum(width_of(output, row) for output in outputs)
        policy = "float32" if config.precision == "float32" else f"mixed_{config.precision}"
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            network = build_outputs(row, weights, outputs)
            rows = keras.ops.concatenate(network.outputs, axis=1)
        finally:
            keras.config.set_dtype_policy(before)
        self._model = keras.Model(network.input, rows)
        self._model.compile(jit_compile=True)
        shapes: dict[str, Any] = {port.name: port.shape for port in self._model.inputs}
        self._inputs = list(shapes)
        self.cells = shapes["region_weights"][2:] if "region_weights" in shapes else None

    def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `CnnRuntime.features`."""
        return self.rows({"crops_rgb": crops_rgb})

    def rows(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """See `BlockRuntime.rows`."""
        arrays = {name: inputs[name] for name in self._inputs}
        rows = np.empty((len(next(iter(arrays.values()))), self._width), dtype=np.float32)
        for start in range(0, len(rows), self.batch):
            part = rows[start : start + self.batch]
            batch = {
                name: _padded(array[start : start + self.batch], self.batch)
                for name, array in arrays.items()
            }
            computed = self._model.predict_on_batch(batch)
            part[:] = np.asarray(computed, dtype=np.float32)[: len(part)]
        return rows


def _padded(rows: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """Append rows of zeros up to `count`."""
    missing = count - len(rows)
    if not missing:
        return rows
    return np.concatenate([rows, np.zeros((missing, *rows.shape[1:]), rows.dtype)])
