"""Error level analysis (ELA): how much a crop changes when it is compressed as a JPEG file.

Neal Krawetz, "A Picture's Worth", Black Hat USA 2007. The change is small where the picture has
been compressed as strongly before. It therefore mostly measures how the clip was compressed and how
detailed it is, not whether the face is real: use it only if real and fake clips went through the
same encoder, and compare with a model that lacks it.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from deepfake_seq.extract.evidence.pooling import Rows, region_means
from deepfake_seq.face_regions import REGIONS, region_weights

VERSION = 1
"""Must be increased when a change of this module changes the numbers."""

QUALITY = 90
"""Quality of the JPEG file."""

WIDTH = len(REGIONS) * 6
"""Numbers per crop: mean and root mean square of the three channels in each region."""

_CELLS = (32, 32)


def error_levels(square_rgb: npt.NDArray[np.uint8], landmarks: Rows | None) -> Rows:
    """Return the mean and the root mean square of the change of each channel in each region.

    The crop is compressed at its native size, with the chroma at half of the resolution. Its change
    is averaged over 32×32 cells, and these over the regions.

    Args:
        square_rgb: uint8 (side, side, 3); the crop at its native size.
        landmarks: float32 (5, 2) in pixels of the crop; None if there are none.

    Returns:
        float32 (36,) in grey levels: for each region the means of R, G and B, then their root mean
        squares.
    """
    side = len(square_rgb)
    change = cv2.absdiff(square_rgb, _compressed(square_rgb)).astype(np.float32)
    cells = np.concatenate([_cells_of(change), _cells_of(np.square(change))], axis=2)
    weights = region_weights(landmarks, side, _CELLS)
    means = region_means(cells[None], weights[None]).reshape(len(REGIONS), 2, 3)
    return np.concatenate([means[:, 0], np.sqrt(means[:, 1])], axis=1).ravel()


def _compressed(square_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Compress an image as a JPEG file, and decompress it."""
    bgr = cv2.cvtColor(square_rgb, cv2.COLOR_RGB2BGR)
    _, file = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    decoded = cv2.imdecode(file, cv2.IMREAD_COLOR)
    assert decoded is not None  # it has just been encoded
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _cells_of(image: Rows) -> Rows:
    """Average an image over the cells: float32 (rows, columns, 3)."""
    # INTER_AREA averages only if it reduces; a smaller image is enlarged without interpolation.
    shrinks = len(image) >= _CELLS[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, _CELLS, interpolation=interpolation), dtype=np.float32)
