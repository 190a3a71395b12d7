"""Recording conditions of a clip: size and sharpness of the face, compression, light, noise.

Pure functions of the face crops at their native size and of the facts about the file. They describe
the picture, not the features, and are no part of a fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from deepfake_seq.store import Record

_WINDOW = 256  # pixels; the middle of a larger crop shows the face
_BLOCK = 8  # pixels; the block of JPEG and the largest common transform of H.264
_ZERO = 1.0  # grey levels; smaller DCT coefficients are rounding errors
_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)

_QUALITIES = (5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 100.0)
_ZEROS = (0.981, 0.967, 0.956, 0.938, 0.929, 0.917, 0.906, 0.892, 0.867, 0.805, 0.671, 0.5)
"""Fraction of DCT coefficients that are zero after compression with each JPEG quality: the median
over crops of 51 short clips, 180 to 510 pixels wide. The last is that of clean pictures."""

Grey = npt.NDArray[np.float32]
Images = Sequence[npt.NDArray[np.uint8]]


def conditions_of(record: Record, squares: Images) -> dict[str, float]:
    """Return the conditions of a clip, rounded; {} if there are no crops.

    Args:
        record: The record of the clip: boxes in pixels of the frame, and facts about the file.
        squares: Crops, uint8 (S, S, 3) each; the squares cut from the frames, not resized.

    Returns:
        `face_pixels` and what `picture_conditions` and `file_conditions` return.
    """
    if not len(squares):
        return {}
    size = {"face_pixels": round(record.face_pixels, 1)}
    return {
        **size,
        **picture_conditions(squares),
        **file_conditions(record.facts, record.source.size_bytes),
    }


def picture_conditions(squares: Images) -> dict[str, float]:
    """Measure crops; each value is the median over the crops, rounded.

    Args:
        squares: Crops, uint8 (S, S, 3) each; at least one.

    Returns:
        - `sharpness`: standard deviation of the fine detail as a fraction of that of the luma,
        - `blockiness`: how much steeper the edges of 8×8 blocks are than other edges; 0 if not,
        - `quality`: estimated JPEG quality, 5 to 100, of a face that lost as much detail,
        - `brightness` and `contrast`: mean and standard deviation of the luma, in grey levels,
        - `noise`: estimated standard deviation of the noise, in grey levels.
    """
    measured = np.array([_measure(_luma(square)) for square in squares])
    sharpness, blockiness, quality, brightness, contrast, noise = np.median(measured, axis=0)
    return {
        "sharpness": round(float(sharpness), 4),
        "blockiness": round(float(blockiness), 3),
        "quality": round(float(quality), 1),
        "brightness": round(float(brightness), 1),
        "contrast": round(float(contrast), 1),
        "noise": round(float(noise), 2),
    }


def file_conditions(facts: Mapping[str, Any], size_bytes: int) -> dict[str, float]:
    """Return `fps` and `bits_per_pixel` of a file, as far as its facts tell.

    Args:
        facts: Facts of the record: `fps`, `width`, `height`, `frames_total`.
        size_bytes: Size of the file in bytes, including sound.
    """
    values = {}
    fps = facts.get("fps")
    if isinstance(fps, int | float) and fps > 0:
        values["fps"] = round(float(fps), 3)
    lengths = [facts.get(name) for name in ("width", "height", "frames_total")]
    if all(type(length) is int and length > 0 for length in lengths) and size_bytes > 0:
        pixels = float(np.prod(np.array(lengths, dtype=np.float64)))
        values["bits_per_pixel"] = round(8 * size_bytes / pixels, 4)
    return values


def _luma(square: npt.NDArray[np.uint8]) -> Grey:
    """Return the luma, float32 (H, W), of the middle of a crop."""
    start = max((len(square) - _WINDOW) // 2, 0)
    middle = np.ascontiguousarray(square[start : start + _WINDOW, start : start + _WINDOW])
    return np.asarray(cv2.cvtColor(middle.astype(np.float32), cv2.COLOR_RGB2GRAY))


def _measure(luma: Grey) -> tuple[float, ...]:
    contrast = float(luma.std())
    residual = luma - cv2.blur(luma, (3, 3), borderType=cv2.BORDER_REFLECT)
    sharpness = float(residual.std()) / contrast if contrast > 0 else 0.0
    (below, blocky_rows), (right, blocky_columns) = _block_edges(luma.T), _block_edges(luma)
    quality = _quality(luma[below:, right:])
    blockiness = max((blocky_rows + blocky_columns) / 2, 0.0)
    return sharpness, blockiness, quality, float(luma.mean()), contrast, _noise(luma)


def _block_edges(luma: Grey) -> tuple[int, float]:
    """Find the columns at which blocks begin.

    Returns:
        The first such column, 0 to 7, and by which fraction the steps there exceed other steps.
    """
    steps = np.abs(np.diff(luma, axis=1)).mean(axis=0)
    # A step within a block is compared with its neighbours, so that the edges of the face and the
    # trend of the light cancel out.
    steps = np.maximum(steps[1:-1] - (steps[:-2] + steps[2:]) / 2, 0.0) if len(steps) > 2 else steps
    phase = (np.arange(len(steps)) + 2) % _BLOCK
    if len(steps) < 2 * _BLOCK or not steps.any():
        return 0, 0.0
    means = np.array([steps[phase == start].mean() for start in range(_BLOCK)])
    first = int(means.argmax())
    level = float(np.abs(np.diff(luma, axis=1)).mean())
    return first, float(means[first] - np.median(means)) / level


def _quality(luma: Grey) -> float:
    """Estimate the JPEG quality of an image whose blocks begin at its corner, 5 to 100."""
    rows, columns = (length // _BLOCK * _BLOCK for length in luma.shape)
    if not rows or not columns:
        return _QUALITIES[-1]
    blocks = luma[:rows, :columns].reshape(rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK)
    coefficients = _DCT @ blocks.swapaxes(1, 2) @ _DCT.T
    total = coefficients.size // _BLOCK**2 * (_BLOCK**2 - 1)
    small = np.abs(coefficients) < _ZERO
    zeros = float(np.count_nonzero(small) - np.count_nonzero(small[:, :, 0, 0])) / total
    return float(np.interp(zeros, _ZEROS[::-1], _QUALITIES[::-1]))


def _noise(luma: Grey) -> float:
    """Estimate the standard deviation of the noise (Immerkær, 1996), from the median.

    The median ignores edges, which the mean of the original would count as noise.
    """
    if min(luma.shape) < 3:
        return 0.0
    filtered = cv2.filter2D(luma, cv2.CV_32F, _KERNEL)[1:-1, 1:-1]
    return float(np.median(np.abs(filtered))) / 0.6745 / 6


def _dct_matrix() -> Grey:
    """Return the orthonormal DCT-II matrix, (8, 8)."""
    frequency, position = np.mgrid[:_BLOCK, :_BLOCK]
    matrix = np.cos(np.pi * (2 * position + 1) * frequency / (2 * _BLOCK)) * np.sqrt(2 / _BLOCK)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix, dtype=np.float32)


_DCT = _dct_matrix()
