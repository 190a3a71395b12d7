"""Which frames of a video are looked at: pure functions of presentation times."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_BORDER = 1e-6


def uniform(
    pts_seconds: npt.NDArray[np.float64], end_seconds: float, count: int
) -> npt.NDArray[np.int64]:
    """The frames shown at the centres of `count` equal spans of time.

    Where the same frame is shown at two centres (a slow or frozen stretch), its neighbours are
    taken, so that `count` different frames are chosen from a video that has as many.

    Args:
        pts_seconds: (N,) presentation times, rising.
        end_seconds: When the last frame's display ends.
        count: How many frames to choose.

    Returns:
        min(N, count) positions in `pts_seconds`, strictly rising.
    """
    available = len(pts_seconds)
    if available <= count:
        return np.arange(available)
    start = pts_seconds[0]
    centres = start + (np.arange(count) + 0.5) * (end_seconds - start) / count
    # A centre on the border of two frames belongs to the later one, whatever the last bit says.
    centres += _BORDER * (end_seconds - start) / count
    chosen = np.searchsorted(pts_seconds, centres, side="right") - 1
    # Strictly rising, first from the left and then from the right; `ramp` turns "strictly rising"
    # into "rising".
    ramp = np.arange(count)
    chosen = np.maximum.accumulate(np.maximum(chosen, 0) - ramp) + ramp
    result: npt.NDArray[np.int64] = np.minimum(chosen, available - count + ramp)
    return result
