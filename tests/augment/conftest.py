"""Fixtures: the crops of a face."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from deepfake_seq.augment import Crops

BOX = np.float32([183, 120, 353, 333])
LANDMARKS = np.float32([[227, 193], [308, 195], [266, 240], [229, 268], [302, 270]])
"""Landmarks that YuNet finds in the portrait, in pixels."""


@pytest.fixture(scope="session")
def face(portrait_rgb: npt.NDArray[np.uint8]) -> Crops:
    """Return three crops of the portrait, of 277, 200 and 139 pixels, with landmarks."""
    left, top, side = 130, 88, 277
    cut = portrait_rgb[top : top + side, left : left + side]
    images, boxes, landmarks = [], [], []
    for size in (277, 200, 139):
        small = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)
        images.append(np.asarray(small, dtype=np.uint8))
        boxes.append((BOX - np.float32([left, top, left, top])) * np.float32(size / side))
        landmarks.append((LANDMARKS - np.float32([left, top])) * np.float32(size / side))
    return Crops(images, boxes, landmarks)
