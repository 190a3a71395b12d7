"""The table of evidence blocks; their names are those of `config.EVIDENCE`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq import face_regions
from deepfake_seq.extract.backbones.outputs import width_of
from deepfake_seq.extract.backbones.table import Backbone
from deepfake_seq.extract.evidence import ela, residual

Compute = Callable[[npt.NDArray[np.uint8], npt.NDArray[np.float32] | None], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Block:
    """A named array of values per face. Every backbone has all of them.

    Attributes:
        name: Its name.
        settings: What its values depend on beside the crop, the landmarks and the CNN, as plain
            JSON values: a function of the CNN's table row.
        compute: Computes it from a crop at its native size, uint8 (side, side, 3), and its
            landmarks, float32 (5, 2) in pixels of the crop or None; float32 (width,). None if it is
            the output of the CNN that has its name.
        fixed_width: Number of values if the CNN does not compute it.
    """

    name: str
    settings: Callable[[Backbone], dict[str, Any]]
    compute: Compute | None = None
    fixed_width: int = 0

    def width(self, row: Backbone) -> int:
        """Return the number of values per face.

        Args:
            row: The table row of the CNN.
        """
        return width_of(self.name, row) if self.compute is None else self.fixed_width


def _fine(row: Backbone) -> dict[str, Any]:
    return {"layer": row.fine_layer, "regions": face_regions.VERSION}


def _residual(row: Backbone) -> dict[str, Any]:
    return {**_fine(row), "kernels": residual.VERSION, "limit": residual.LIMIT}


def _ela(_: Backbone) -> dict[str, Any]:
    version = {"version": ela.VERSION, "regions": face_regions.VERSION}
    return {**version, "jpeg_quality": ela.QUALITY}


BLOCK_TABLE = {
    block.name: block
    for block in (
        Block("features", lambda row: {}),
        Block("depths", lambda row: {"layer": row.late_layer}),
        Block("regions", _fine),
        Block("residual", _residual),
        Block("ela", _ela, ela.error_levels, ela.WIDTH),
    )
}
