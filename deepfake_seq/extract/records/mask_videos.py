"""The replaced share of each face region, from a video that shows which pixels were replaced."""

from __future__ import annotations

import cv2
import numpy as np

from deepfake_seq.extract.faces.crop import cut_square
from deepfake_seq.extract.records.pending import PendingRecord, crops_of
from deepfake_seq.extract.video.decode import SampledFrames
from deepfake_seq.face_regions import mask_shares, mean_shares

_SET = 64
"""Smallest value of a colour channel at which a pixel counts as replaced; compression leaves lower
values in the black parts of a mask video."""


def replaced_shares(
    frames: SampledFrames | None, pending: PendingRecord, margin: float
) -> list[float] | None:
    """Return the share of each face region that is set in the frames of a mask video.

    Args:
        frames: Frames of the mask video; None if they cannot be decoded.
        pending: The person's record, with at least one valid frame.
        margin: Margin around the box of the face; see `cut_square`.

    Returns:
        Six numbers from 0 to 1, in the order of `face_regions.REGIONS`, the means over the valid
        frames of the record; None if `frames` are not the same frames.
    """
    record = pending.record
    if frames is None or not np.array_equal(frames.frame_index, record.frame_index[record.mask]):
        return None
    squares = []
    for image, box, size in zip(
        frames.images_rgb, record.boxes_xyxy, record.sizes.tolist(), strict=False
    ):
        resized = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)
        squares.append(cut_square(np.asarray(resized, dtype=np.uint8), box, margin))
    crops = crops_of(record, pending.landmarks, squares, margin)
    shares = [
        mask_shares(square.max(axis=2) >= _SET, points)
        for square, points in zip(squares, crops.landmarks, strict=True)
    ]
    return mean_shares(shares)
