"""Choice of the sampled frames: pure functions of presentation times."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_BORDER = 1e-6

_BREAK = 25
"""Smallest ratio of a break to the gaps nearby."""

_NEARBY = 5
"""Number of gaps before and after a gap that it is compared with."""


def uniform(
    pts_seconds: npt.NDArray[np.float64], end_seconds: float, count: int
) -> npt.NDArray[np.int64]:
    """Choose the frames shown at the centres of `count` equal spans of time, breaks left out.

    If one frame is shown at several centres (a slow or frozen stretch), its neighbours are chosen
    as well, so that the result has `count` different frames whenever the video has that many.

    Args:
        pts_seconds: (N,) presentation times, increasing.
        end_seconds: End of the last frame's display.
        count: Number of frames to choose.

    Returns:
        min(N, count) positions in `pts_seconds`, strictly increasing.
    """
    return _spread(*without_breaks(pts_seconds, end_seconds), count)


def without_breaks(
    pts_seconds: npt.NDArray[np.float64], end_seconds: float
) -> tuple[npt.NDArray[np.float64], float]:
    """Shorten the gaps in time that no frame belongs to, as between two joined recordings.

    A gap is a break if it is more than 25 times as long as the median of the five gaps before it,
    and of the five after it. It is shortened to the longer one of the two. A stretch of slow frames
    (slides) is therefore no break, because its gaps are as long as those on one side of them.

    Args:
        pts_seconds: (N,) presentation times, increasing.
        end_seconds: End of the last frame's display.

    Returns:
        The times and the end; the arguments themselves if there is no break.
    """
    if len(pts_seconds) < 2:
        return pts_seconds, end_seconds
    gaps = np.diff(pts_seconds, append=end_seconds)
    edged = np.pad(gaps, _NEARBY, mode="edge")
    medians = np.median(np.lib.stride_tricks.sliding_window_view(edged, _NEARBY), axis=1)
    before, after = medians[: len(gaps)].copy(), medians[_NEARBY + 1 :].copy()
    before[0] = after[-1] = 0.0  # nothing to compare with
    nearby = np.maximum(before, after)
    breaks = gaps > _BREAK * nearby
    if not breaks.any():
        return pts_seconds, end_seconds
    edges = pts_seconds[0] + np.cumsum(np.where(breaks, nearby, gaps))
    return np.append(pts_seconds[0], edges[:-1]), float(edges[-1])


def _spread(
    pts_seconds: npt.NDArray[np.float64], end_seconds: float, count: int
) -> npt.NDArray[np.int64]:
    """Choose the frames shown at the centres of `count` equal spans of time; see `uniform`."""
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
    # Breaks are found among all frames: the gaps between key frames differ in ordinary videos.
    shown, end = without_breaks(pts_seconds, end_seconds)
    return keys[_spread(shown[keys], end, count)] if len(keys) else keys


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
