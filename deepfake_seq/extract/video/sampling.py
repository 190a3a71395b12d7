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


def consecutive(available: int, count: int) -> npt.NDArray[np.int64]:
    """`count` frames that follow each other, in the middle of the video.

    Args:
        available: How many frames there are.
        count: How many frames to choose.

    Returns:
        min(available, count) positions, each one more than the one before.
    """
    start = max(available - count, 0) // 2
    return np.arange(start, min(start + count, available))


def keyframes(
    pts_seconds: npt.NDArray[np.float64],
    is_key: npt.NDArray[np.bool_],
    end_seconds: float,
    count: int,
) -> npt.NDArray[np.int64]:
    """`uniform` among the frames that can be decoded by themselves.

    Args:
        pts_seconds: (N,) presentation times, rising.
        is_key: (N,); which frames are key frames.
        end_seconds: When the last frame's display ends.
        count: How many frames to choose.

    Returns:
        min(K, count) positions of key frames in `pts_seconds`, strictly rising, for K key frames.
    """
    keys = np.flatnonzero(is_key)
    return keys[uniform(pts_seconds[keys], end_seconds, count)] if len(keys) else keys


def choose(
    strategy: str,
    pts_seconds: npt.NDArray[np.float64],
    is_key: npt.NDArray[np.bool_],
    end_seconds: float,
    count: int,
) -> npt.NDArray[np.int64]:
    """The frames that a strategy chooses; see `keyframes` for the arguments.

    Args:
        strategy: One of `config.SAMPLERS`.
        pts_seconds: (N,) presentation times, rising.
        is_key: (N,); which frames are key frames.
        end_seconds: When the last frame's display ends.
        count: How many frames to choose.
    """
    if strategy == "consecutive":
        return consecutive(len(pts_seconds), count)
    if strategy == "keyframes":
        return keyframes(pts_seconds, is_key, end_seconds, count)
    return uniform(pts_seconds, end_seconds, count)


def neighbours(
    chosen: npt.NDArray[np.int64], missed: npt.NDArray[np.int64], available: int
) -> list[npt.NDArray[np.int64]]:
    """Where else to look where a chosen frame shows no face: round it, nearest first.

    A neighbour lies nearer to its own chosen frame than to the next, so that the order of time is
    kept whichever neighbours are taken.

    Args:
        chosen: (T,) positions of the chosen frames, strictly rising.
        missed: Indices into `chosen`.
        available: How many frames the video has.

    Returns:
        For each of `missed`, up to four positions of other frames.
    """
    found = []
    for index in missed:
        own = int(chosen[index])
        # As far as the frames nearer to this one than to its neighbour reach, on either side.
        before = (own - int(chosen[index - 1]) - 1) // 2 if index else own
        last = index + 1 == len(chosen)
        after = available - 1 - own if last else (int(chosen[index + 1]) - own - 1) // 2
        near = dict.fromkeys(
            own + sign * max(round(share * reach), 1)
            for share in (0.25, 0.75)
            for sign, reach in ((1, after), (-1, before))
            if reach > 0
        )
        found.append(np.array(list(near), dtype=np.int64))
    return found
