"""Evidence blocks of faces, in two steps: preparation on any thread, then the CNN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import BackboneConfig
from deepfake_seq.extract.backbones.outputs import Inputs, inputs_of
from deepfake_seq.extract.backbones.ranges import Ranges
from deepfake_seq.extract.backbones.runtime import BlockRuntime, build_runtime
from deepfake_seq.extract.backbones.table import Backbone, backbone_of
from deepfake_seq.extract.evidence.residual import residual_image
from deepfake_seq.extract.evidence.table import BLOCK_TABLE
from deepfake_seq.extract.faces import resize_square
from deepfake_seq.face_regions import region_weights

_BATCH_WITHOUT_CNN = 16

Squares = Sequence[npt.NDArray[np.uint8]]
Landmarks = Sequence[npt.NDArray[np.float32] | None]


class FaceCrop(NamedTuple):
    """The face in one frame.

    Attributes:
        square_rgb: uint8 (side, side, 3); the crop at its native size.
        landmarks: float32 (5, 2) in pixels of the crop; None if there are none.
    """

    square_rgb: npt.NDArray[np.uint8]
    landmarks: npt.NDArray[np.float32] | None = None


Rows = npt.NDArray[np.float32]

Prepare = Callable[[npt.NDArray[np.uint8], Rows | None], npt.NDArray[Any]]
"""Makes one input of a face from its crop at native size and its landmarks."""


class Evidence:
    """Computes evidence blocks of faces.

    `prepare` does everything except the CNN, on several threads at once; its results can be joined
    and cut face by face, such as by a `Batcher`. `compute` runs the CNN, in one thread at a time:
    one pass over the crop, and one over its residuals that ends at the fine map.

    Args:
        blocks: Names of the blocks, keys of `BLOCK_TABLE`.
        row: Table row of the CNN.
        cnn: The CNN, built with the outputs that have the names of blocks, in their order; None if
            no block needs it.

    Attributes:
        batch: Number of faces per call of `compute` at which it is fastest.
        widths: Number of values per face of each block, by name, in the order of the rows.
        settings: What each block depends on beside crop, landmarks and CNN; see `table.Block`.
    """

    def __init__(self, blocks: Sequence[str], row: Backbone, cnn: BlockRuntime | None) -> None:
        self._cnn = cnn
        outputs = [name for name in blocks if BLOCK_TABLE[name].compute is None]
        own = {name: BLOCK_TABLE[name].compute for name in blocks}
        self._others = {name: compute for name, compute in own.items() if compute is not None}
        self._prepare = {name: _preparation(name, row, cnn) for name in inputs_of(outputs)}
        self._prepare |= self._others
        self.batch = cnn.batch if cnn else _BATCH_WITHOUT_CNN
        self.settings = {name: BLOCK_TABLE[name].settings(row) for name in blocks}
        self.widths = {name: BLOCK_TABLE[name].width(row) for name in [*outputs, *self._others]}

    @classmethod
    def build(
        cls,
        blocks: Sequence[str],
        runtime: str,
        config: BackboneConfig,
        weights: Path | None,
        ranges: Ranges | None = None,
    ) -> Self:
        """Load the CNN if a block needs it.

        Args:
            blocks: Names of the blocks, keys of `BLOCK_TABLE`.
            runtime: One of `config.RUNTIMES`.
            config: The backbone and its precision.
            weights: Path of the weights file; None for seeded random weights.
            ranges: Ranges of the CNN for precision int8; None for the others.

        Raises:
            WeightsError: The weights file does not match the CNN.
            EngineError: The machine does not support the precision.
        """
        outputs = [name for name in blocks if BLOCK_TABLE[name].compute is None]
        cnn = build_runtime(runtime, config, weights, outputs, ranges) if outputs else None
        return cls(blocks, backbone_of(config.name, weights), cnn)

    def prepare(self, squares: Squares, landmarks: Landmarks) -> Inputs:
        """Prepare the faces of one person.

        Args:
            squares: uint8 (side, side, 3) each; the crops at their native size.
            landmarks: float32 (5, 2) each, in pixels of the crop, or None; see
                `face_regions.region_weights`.

        Returns:
            The inputs of `compute`, with one row per crop; empty if there is no crop.
        """
        if not len(squares):
            return {}
        faces = list(zip(squares, landmarks, strict=True))
        return {
            name: np.stack([prepare(square, points) for square, points in faces])
            for name, prepare in self._prepare.items()
        }

    def compute(self, inputs: Inputs) -> Rows:
        """Compute the blocks of N faces.

        Args:
            inputs: Prepared faces.

        Returns:
            float32 (N, sum of `widths`); the blocks of each face one after the other; see `split`.
        """
        parts = [self._cnn.rows(inputs)] if self._cnn else []
        return np.concatenate([*parts, *(inputs[name] for name in self._others)], axis=1)

    def split(self, rows: Rows) -> dict[str, Rows]:
        """Return the blocks in rows of `compute` by name: float32 (N, width) each."""
        stops = np.cumsum(list(self.widths.values()))[:-1]
        return dict(zip(self.widths, np.split(rows, stops, axis=1), strict=True))


def _preparation(name: str, row: Backbone, cnn: BlockRuntime | None) -> Prepare:
    """Return the function that makes an input of the CNN; see `outputs.INPUTS_OF`."""
    if name == "crops_rgb":
        return lambda square, _: resize_square(square, row.crop_size)
    if name == "residuals":
        return lambda square, _: residual_image(square, row.crop_size)
    assert cnn and cnn.cells, "the CNN was not built with these outputs"
    cells = cnn.cells
    return lambda square, points: region_weights(points, len(square), cells)
