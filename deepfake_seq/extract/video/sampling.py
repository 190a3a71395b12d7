"""Choice of the sampled frames: pure functions of presentation times."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_BORDER = 1e-6


def uniform(
    pts_seconds: npt.NDArray[np.float64], end_seconds: float, count: int
) -> npt.NDArray[np.int64]:
    """Choose the frames shown at the centres of `count` equal spans of time.

    If one frame is shown at several centres (a slow or frozen stretch), its neighbours are chosen
    as well, so that the result has `count` different frames whenever the video has that many.

    Args:
        pts_seconds: (N,) presentation times, increasing.
        end_seconds: End of the last frame's display.
        count: Number of frames to choose.

    Returns:
        min(N, count) positions in `pts_seconds`, strictly increasing.
    """
    available = len(pts_seconds)
    if available <= count:
        return np.arange(available)
    start = pts_seconds[0]
    centres = start + (np.arange(count) + 0.5) * (end_seconds - start) / count
    # A centre on the border of two frames counts for the later one, despite rounding errors.
    centres += _BORDER * (end_seconds - start) / count
    chosen = np.searchsorted(pts_seconds, centres, side="right") - 1
    # Make the positions strictly increasing, from the left and then from the right; subtracting
    # `ramp` turns "strictly increasing" into "increasing".
    ramp = np.arange(count)
    chosen = np.maximum.accumulate(np.maximum(chosen, 0) - ramp) + ramp
    result: npt.NDArray[np.int64] = np.minimum(chosen, available - count + ramp)
    return result


def consecutive(available: int, count: int) -> npt.NDArray[np.int64]:
    """Choose `count` consecutive frames from the middle of the video.

    Args:
        available: Number of frames in the video.
        count: Number of frames to choose.

    Returns:
        min(available, count) consecutive positions.
    """
    start = max(available - count, 0) // 2
    return np.arange(start, min(start + count, available))


def keyframes(
    pts_seconds: npt.NDArray[np.float64],
    is_key: npt.NDArray[np.bool_],
    end_seconds: float,
    count: int,
) -> npt.NDArray[np.int64]:
    """Choose among the key frames only, otherwise like `uniform`.

    Args:
        pts_seconds: (N,) presentation times, increasing.
        is_key: bool (N,); whether each frame is a key frame.
        end_seconds: End of the last frame's display.
        count: Number of frames to choose.

    Returns:
        min(K, count) positions of key frames in `pts_seconds`, strictly increasing; K is their
        number.
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
    """Choose frames by a strategy.

    Args:
        strategy: One of `config.SAMPLERS`.
        pts_seconds: (N,) presentation times, increasing.
        is_key: bool (N,); whether each frame is a key frame.
        end_seconds: End of the last frame's display.
        count: Number of frames to choose.
    """
    if strategy == "consecutive":
        return consecutive(len(pts_seconds), count)
    if strategy == "keyframes":
        return keyframes(pts_seconds, is_key, end_seconds, count)
    return uniform(pts_seconds, end_seconds, count)


def neighbours(
    chosen: npt.NDArray[np.int64], missed: npt.NDArray[np.int64], available: int
) -> list[npt.NDArray[np.int64]]:
    """Return neighbours of the chosen frames in which no face was found, nearest first.

    Each neighbour is nearer to its chosen frame than to any other chosen frame. The frames
    therefore stay in chronological order, whichever neighbours replace them.

    Args:
        chosen: (T,) positions of the chosen frames, strictly increasing.
        missed: Indices into `chosen`.
        available: Number of frames in the video.

    Returns:
        For each of `missed`, up to four positions of other frames.
    """
    result = []
    for index in missed:
        position = int(chosen[index])
        # Number of frames on either side that are nearer to this one than to the next chosen one.
        before = (position - int(chosen[index - 1]) - 1) // 2 if index else position
        last = index + 1 == len(chosen)
        after = available - 1 - position if last else (int(chosen[index + 1]) - position - 1) // 2
        near = dict.fromkeys(
            position + sign * max(round(share * reach), 1)
            for share in (0.25, 0.75)
            for sign, reach in ((1, after), (-1, before))
            if reach > 0
        )
        result.append(np.array(list(near), dtype=np.int64))
    return result
