"""Features, masks and labels as people give them: checked, and brought into order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.sequence.data.features import Arrays


def checked_arrays(values: npt.ArrayLike, mask: npt.ArrayLike | None) -> Arrays:
    """Features and mask with the valid frames first, and zeros after them.

    Args:
        values: Numbers (N, T, D).
        mask: Bool (N, T), a frame valid in each clip; all by default.

    Raises:
        ValueError: They are something else.
    """
    features = np.asarray(values)
    if features.ndim != 3 or 0 in features.shape[1:] or features.dtype.kind not in "fiu":
        raise ValueError(
            "X must be numbers (clips, frames, features). "
            f"Received: {features.dtype} {features.shape}"
        )
    features = features.astype(np.float16 if features.dtype == np.float16 else np.float32)
    held = np.ones(features.shape[:2], dtype=bool) if mask is None else np.asarray(mask)
    if held.shape != features.shape[:2] or held.dtype != np.bool_:
        raise ValueError(
            f"mask must be bool {features.shape[:2]}. Received: {held.dtype} {held.shape}"
        )
    empty = np.flatnonzero(~held.any(axis=1))
    if len(empty):
        raise ValueError(f"every clip needs a valid frame. Received none in clip {empty[0]}")
    order = np.argsort(~held, axis=1, kind="stable")
    held = np.take_along_axis(held, order, axis=1)
    features = np.take_along_axis(features, order[..., None], axis=1)
    features = np.where(held[..., None], features, features.dtype.type(0))
    if not np.isfinite(features).all():
        clip = np.flatnonzero(~np.isfinite(features).all(axis=(1, 2)))[0]
        raise ValueError(f"valid frames must be finite. Clip {clip} holds infinity or NaN")
    return features, held


def checked_labels(y: npt.ArrayLike, clips: int) -> npt.NDArray[np.int64]:
    """One label a clip, int64 (N,).

    Raises:
        ValueError: It is something else.
    """
    labels = np.asarray(y)
    if labels.shape != (clips,) or not np.isin(labels, (REAL, FAKE)).all():
        raise ValueError(
            f"y must be {clips} labels, 1 for fake and 0 for real. "
            f"Received: {labels.dtype} {labels.shape} with {np.unique(labels)[:5]}"
        )
    return labels.astype(np.int64)
