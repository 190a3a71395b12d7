"""Validate features, masks and labels that callers pass as arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.sequence.data.features import Arrays


def checked_arrays(values: npt.ArrayLike, mask: npt.ArrayLike | None) -> Arrays:
    """Return features and mask with the valid frames first and zeros in the masked ones.

    Args:
        values: Numeric features, (N, T, D).
        mask: Bool (N, T), with at least one valid frame per clip; by default all are valid.

    Raises:
        ValueError: The arrays have another shape or dtype, or a valid frame is not finite.
    """
    features = np.asarray(values)
    if features.ndim != 3 or 0 in features.shape[1:] or features.dtype.kind not in "fiu":
        raise ValueError(
            "X must be numbers (clips, frames, features). "
            f"Received: {features.dtype} {features.shape}"
        )
    features = features.astype(np.float16 if features.dtype == np.float16 else np.float32)
    valid = np.ones(features.shape[:2], dtype=bool) if mask is None else np.asarray(mask)
    if valid.shape != features.shape[:2] or valid.dtype != np.bool_:
        raise ValueError(
            f"mask must be bool {features.shape[:2]}. Received: {valid.dtype} {valid.shape}"
        )
    empty = np.flatnonzero(~valid.any(axis=1))
    if len(empty):
        raise ValueError(f"every clip needs a valid frame. Received: none in clip {empty[0]}")
    order = np.argsort(~valid, axis=1, kind="stable")
    valid = np.take_along_axis(valid, order, axis=1)
    features = np.take_along_axis(features, order[..., None], axis=1)
    features = np.where(valid[..., None], features, features.dtype.type(0))
    if not np.isfinite(features).all():
        clip = np.flatnonzero(~np.isfinite(features).all(axis=(1, 2)))[0]
        raise ValueError(f"valid frames must be finite. Received: infinity or NaN in clip {clip}")
    return features, valid


def checked_labels(y: npt.ArrayLike, clips: int) -> npt.NDArray[np.int64]:
    """Return the labels as int64 (N,).

    Args:
        y: Labels; 1 = fake, 0 = real.
        clips: N.

    Raises:
        ValueError: The number of labels is wrong, or one is neither 0 nor 1.
    """
    labels = np.asarray(y)
    if labels.shape != (clips,) or not np.isin(labels, (REAL, FAKE)).all():
        raise ValueError(
            f"y must be {clips} labels, 1 for fake and 0 for real. "
            f"Received: {labels.dtype} {labels.shape} with {np.unique(labels)[:5]}"
        )
    return labels.astype(np.int64)
