"""Averages of a feature map in the regions of a face."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]


def region_means(maps: Rows, weights: Rows) -> Rows:
    """Return the weighted average of each channel in each region.

    Args:
        maps: float32 (N, rows, columns, C); feature maps.
        weights: float32 (N, R, rows, columns), with the sum 1 in each region; see
            `face_regions.region_weights`.

    Returns:
        float32 (N, R × C): all channels of the first region, then those of the second …
    """
    count, regions = weights.shape[:2]
    means = weights.reshape(count, regions, -1) @ maps.reshape(count, -1, maps.shape[-1])
    return means.reshape(count, -1)
