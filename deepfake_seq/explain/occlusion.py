"""Which parts of a face speak for fake: the change of the score when a part is covered.

Matthew D. Zeiler and Rob Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
They cover squares with grey. A cover should look like nothing to the CNN, but a smooth area with an
edge around it is what it finds in many fakes. Here, the cover is the strongly blurred crop with
noise as strong as that of the crop, and its edges are soft.

A part is covered in single frames and the whole clip is scored again, so the effects are those of
the model's actual score. They show what the model reacts to, not what was manipulated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
import numpy.typing as npt

from deepfake_seq.face_regions import REGIONS, region_shares
from deepfake_seq.sequence.data.features import Arrays
from deepfake_seq.sequence.models.networks import mean_logits
from deepfake_seq.sequence.runs.run import SequenceModel

CELLS = 6
"""Number of squares per side of a map."""

CROPS_PER_FRAME = 1 + CELLS**2 + len(REGIONS)
"""Number of crops that go through the CNN for each frame: uncovered, each square, each region."""

_BLUR = 0.15
"""Standard deviation of the blur as a fraction of the crop's side."""

_FINE = 1.0
"""Standard deviation in pixels of the blur that separates noise from detail."""

Image = npt.NDArray[np.uint8]
Masks = npt.NDArray[np.float32]
FeaturesOf = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""Computes the features (N, D) of crops, uint8 (N, S, S, 3)."""


def square_masks(size: int) -> Masks:
    """Return the opacity of each square's cover.

    Args:
        size: Side of the crop in pixels.

    Returns:
        float32 (CELLS², size, size), row by row, from 0 to 1; 1 in the square, falling to 0 over
        half a square around it.
    """
    single = np.eye(CELLS**2, dtype=np.float32).reshape(-1, CELLS, CELLS)
    return np.stack([2 * _enlarged(cells, size) for cells in single]).clip(0, 1)


def region_masks(
    landmarks: npt.NDArray[np.float32] | None, side: float, size: int
) -> npt.NDArray[np.float32]:
    """Return the opacity of the cover of each face region: float32 (6, size, size), from 0 to 1.

    Args:
        landmarks: float32 (5, 2) in pixels of the crop at its native size; None if there are none.
        side: Side of the crop at its native size in pixels.
        size: Side of the masks in pixels.
    """
    return region_shares(landmarks, side, (size, size))


def covered(crop_rgb: Image, masks: Masks) -> npt.NDArray[np.uint8]:
    """Return a crop with each of the parts covered: uint8 (N, size, size, 3).

    Args:
        crop_rgb: uint8 (size, size, 3).
        masks: float32 (N, size, size), from 0 to 1.
    """
    image = crop_rgb.astype(np.float32)
    change = _cover(image) - image
    result = np.empty((len(masks), *crop_rgb.shape), dtype=np.uint8)
    for row, mask in enumerate(masks):
        result[row] = (image + change * mask[..., None]).round().clip(0, 255)
    return result


def _cover(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what parts of a crop are replaced by; the same for equal crops."""
    blurred = cv2.GaussianBlur(image, (0, 0), _BLUR * len(image))
    generator = np.random.default_rng(0)
    noise = generator.standard_normal(image.shape, dtype=np.float32)
    # Compared after the same filter, and by the median, because edges are no noise.
    strength = np.median(_fine(image)) / max(float(np.median(_fine(noise))), 1e-6)
    return np.asarray(blurred + noise * np.float32(strength), dtype=np.float32)


def _fine(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the size of the finest detail at each pixel."""
    blurred = cv2.GaussianBlur(image, (0, 0), _FINE)
    return np.asarray(np.abs(image - blurred), dtype=np.float32)


def occlusion(
    model: SequenceModel,
    arrays: Arrays,
    crops_rgb: Mapping[int, Image],
    regions: Mapping[int, Masks],
    features_of: FeaturesOf,
) -> tuple[dict[int, npt.NDArray[np.float64]], dict[str, float]]:
    """Return what each square of some frames, and each face region in all of them, contributes.

    A contribution is by how much the part raises the log-odds of fake: above 0, the score falls
    when the part is covered.

    Args:
        model: A model whose only input is the CNN's features.
        arrays: Features (1, T, D) and mask (1, T) of a person.
        crops_rgb: Crop of each frame to look at, uint8 (size, size, 3), by its row in the features.
        regions: Result of `region_masks` for each of these frames.
        features_of: Runs the CNN, once for each frame.

    Returns:
        The contribution of each square by row, float64 (CELLS, CELLS), and of each region by name.
    """
    size = len(next(iter(crops_rgb.values())))
    squares = square_masks(size)
    original: dict[int, npt.NDArray[np.float32]] = {}
    without_square, without_region = {}, {}
    for row, crop in crops_rgb.items():
        covers = covered(crop, np.concatenate([squares, regions[row]]))
        features = features_of(np.concatenate([crop[None], covers]))
        original[row] = features[0]
        without_square[row] = features[1 : 1 + len(squares)]
        without_region[row] = features[1 + len(squares) :]
    before = replaced(arrays, {row: features[None] for row, features in original.items()})
    total = float(log_odds(model, before)[0])
    by_square = {
        row: (total - log_odds(model, replaced(before, {row: changed}))).reshape(CELLS, CELLS)
        for row, changed in without_square.items()
    }
    by_region = total - log_odds(model, replaced(before, without_region))
    return by_square, dict(zip(REGIONS, by_region.tolist(), strict=True))


def strongest(contributions: Mapping[str, float]) -> str:
    """Return the part that speaks most for fake."""
    return max(contributions, key=lambda name: contributions[name])


def enlarged_map(contributions: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float32]:
    """Interpolate the contributions of squares: float32 (size, size)."""
    return _enlarged(contributions.astype(np.float32), size)


def replaced(arrays: Arrays, rows: Mapping[int, npt.NDArray[np.float32]]) -> Arrays:
    """Return N versions of a clip with other features in some frames.

    Args:
        arrays: Features (1, T, D) and mask (1, T).
        rows: The features of each changed frame in each version, float32 (N, D).
    """
    features, mask = arrays
    count = len(next(iter(rows.values())))
    changed = np.repeat(features, count, axis=0)
    for row, values in rows.items():
        changed[:, row] = values
    return changed, np.repeat(mask, count, axis=0)


def log_odds(model: SequenceModel, arrays: Arrays) -> npt.NDArray[np.float64]:
    """Return the calibrated log-odds of fake, (N,)."""
    calibration = model.calibration
    return calibration.slope * mean_logits(model.members, arrays) + calibration.intercept


def _enlarged(cells: npt.NDArray[np.float32], size: int) -> Masks:
    resized = cv2.resize(cells, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.float32)
