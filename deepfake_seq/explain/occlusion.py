"""Which parts of a face speak for fake: the change of the score when a part is covered.

Matthew D. Zeiler and Rob Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
They cover squares with grey. A cover should look like nothing to the CNN, but a smooth area with an
edge around it is what it finds in many fakes. Here, the cover is the strongly blurred crop with
noise as strong as that of the crop, and its edges are soft.

A part is covered in single frames and the whole clip is scored again, so the effects are those of
the model's actual score. They show what the model reacts to, not what was manipulated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain

import cv2
import numpy as np
import numpy.typing as npt

from deepfake_seq.extract.evidence import FaceCrop
from deepfake_seq.face_regions import REGIONS, region_shares
from deepfake_seq.sequence.data.features import Arrays
from deepfake_seq.sequence.models.networks import mean_logits
from deepfake_seq.sequence.runs.run import SequenceModel

CELLS = 5
"""Number of squares per side of a map."""

CROPS_PER_FRAME = CELLS**2 + len(REGIONS)
"""Number of crops that go through the CNN for each frame: with each square or region covered."""

_BLUR = 0.15
"""Standard deviation of the blur as a fraction of the crop's side."""

_BLUR_SIDE = 64
"""Side in pixels to which crops are reduced for the blur, which leaves nothing smaller."""

_FINE = 1.0
"""Standard deviation in pixels of the blur that separates noise from detail."""

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.float32]

FeaturesOf = Callable[[Iterable[FaceCrop]], npt.NDArray[np.floating]]
"""Computes the features (N, D) of crops; called once."""

PartContributions = tuple[dict[int, npt.NDArray[np.float64]], dict[str, float]]
"""Contribution of each square by row, float64 (CELLS, CELLS), and of each region by name."""


def square_masks(size: int) -> Iterator[Mask]:
    """Yield the opacity of each square's cover, row by row: float32 (size, size), from 0 to 1.

    It is 1 in the square and falls to 0 over half a square around it.

    Args:
        size: Side of the crop in pixels.
    """
    for cells in np.eye(CELLS**2, dtype=np.float32).reshape(-1, CELLS, CELLS):
        yield (2 * _enlarged(cells, size)).clip(0, 1)


def covered(square_rgb: Image, masks: Iterable[Mask]) -> Iterator[Image]:
    """Yield a crop with each of the parts covered: uint8 (side, side, 3).

    Args:
        square_rgb: uint8 (side, side, 3).
        masks: float32 (side, side) each, from 0 to 1.
    """
    image = square_rgb.astype(np.float32)
    change = _cover(image) - image
    for mask in masks:
        part = _bounds(mask)
        mixed = image[part] + change[part] * mask[part][..., None]
        result = square_rgb.copy()
        result[part] = mixed.round().clip(0, 255).astype(np.uint8)
        yield result


def _bounds(mask: Mask) -> tuple[slice, slice]:
    """Return the rows and columns that contain everything above 0."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0), slice(0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _cover(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what parts of a crop are replaced by; the same for equal crops."""
    side = len(image)
    small = cv2.resize(image, (_BLUR_SIDE, _BLUR_SIDE), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), _BLUR * _BLUR_SIDE)
    blurred = cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR)
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
    people: Sequence[tuple[Arrays, Mapping[int, FaceCrop]]],
    features_of: FeaturesOf,
) -> list[PartContributions]:
    """Return what each square of some frames, and each face region in all of them, contributes.

    A contribution is by how much the part raises the log-odds of fake: above 0, the score falls
    when the part is covered.

    Args:
        model: The model.
        people: Features (1, T, D) and mask (1, T) of each person, and the face in each frame to
            look at, by its row in the features.
        features_of: Runs the CNN.

    Returns:
        The contributions for each person.
    """
    faces = [face for _, by_row in people for face in by_row.values()]
    features = features_of(version for face in faces for version in _versions(face))
    each = iter(features.reshape(len(faces), CROPS_PER_FRAME, -1))
    return [
        _contributions(model, arrays, {row: next(each) for row in by_row})
        for arrays, by_row in people
    ]


def _versions(face: FaceCrop) -> Iterator[FaceCrop]:
    """Yield a crop with each square covered, then with each region covered."""
    side = len(face.square_rgb)
    regions = region_shares(face.landmarks, side, (side, side))
    for square in covered(face.square_rgb, chain(square_masks(side), regions)):
        yield FaceCrop(square, face.landmarks)


def _contributions(
    model: SequenceModel, arrays: Arrays, features: Mapping[int, npt.NDArray[np.floating]]
) -> PartContributions:
    """Return the contributions, from the features of the `_versions` of each frame."""
    total = float(log_odds(model, arrays)[0])
    by_square = {
        row: (total - log_odds(model, replaced(arrays, {row: rows[: CELLS**2]}))).reshape(
            CELLS, CELLS
        )
        for row, rows in features.items()
    }
    without_region = {row: rows[CELLS**2 :] for row, rows in features.items()}
    by_region = total - log_odds(model, replaced(arrays, without_region))
    return by_square, dict(zip(REGIONS, by_region.tolist(), strict=True))


def enlarged_map(contributions: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float32]:
    """Interpolate the contributions of squares: float32 (size, size)."""
    return _enlarged(contributions.astype(np.float32), size)


def replaced(arrays: Arrays, rows: Mapping[int, npt.NDArray[np.floating]]) -> Arrays:
    """Return N versions of a clip with other features in some frames.

    Args:
        arrays: Features (1, T, D) and mask (1, T).
        rows: The features of each changed frame in each version, (N, D).
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


def _enlarged(cells: npt.NDArray[np.float32], size: int) -> Mask:
    resized = cv2.resize(cells, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.float32)
