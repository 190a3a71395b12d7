"""The pictures of a report: crops, maps over crops, and noise residuals, as JPEG files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from deepfake_seq.explain.capture import Image
from deepfake_seq.explain.explanation import PersonExplanation
from deepfake_seq.explain.occlusion import enlarged_map
from deepfake_seq.extract.evidence.residual import ZERO

_QUALITY = 85
_FACE_SIDE, _MAP_SIDE = 112, 220
"""Size in pixels of the pictures."""

_FULL_COLOUR = 0.25
"""Smallest contribution to the log-odds that is drawn with the full colour in a map."""

_MAX_OPACITY = 0.65
_FAKE_RGB, _REAL_RGB = (214, 40, 30), (30, 90, 200)
"""Colours of the parts that speak for fake and for real."""

_RESIDUAL_CHANNEL = 1
"""The 5×5 filter, which leaves the least of the picture itself."""

_AMPLIFICATION = 4


class MapPictures(NamedTuple):
    """The pictures of a mapped frame, as JPEG files.

    Attributes:
        caption: When the frame is shown, and how much single squares contribute.
        crop: The crop.
        coloured: The crop with the contributions as colours.
        residual: The noise of the crop.
    """

    caption: str
    crop: bytes
    coloured: bytes
    residual: bytes


def face(crop_rgb: Image) -> bytes:
    """Return a small picture of a face."""
    return jpeg(crop_rgb, _FACE_SIDE)


def maps_of(person: PersonExplanation) -> Iterator[MapPictures]:
    """Yield the pictures of each of `person.maps`, with the same scale of colours."""
    strongest = max((abs(found.log_odds).max() for found in person.maps), default=0.0)
    for found in person.maps:
        frame = person.frames[found.row]
        values = found.log_odds
        caption = (
            f"{frame.pts_seconds:.2f} s: single squares change the odds of fake by factors from "
            f"{math.exp(max(values.min(), -50)):.2f} to {math.exp(min(values.max(), 50)):.2f}"
        )
        coloured = overlay(frame.crop_rgb, values, max(float(strongest), _FULL_COLOUR))
        yield MapPictures(
            caption,
            jpeg(frame.crop_rgb, _MAP_SIDE),
            jpeg(coloured, _MAP_SIDE),
            jpeg(residual_picture(found.residual_rgb), _MAP_SIDE),
        )


def jpeg(image_rgb: Image, side: int | None = None) -> bytes:
    """Encode an image as a JPEG file.

    Args:
        image_rgb: uint8 (H, W, 3).
        side: Length in pixels to which the longer side is reduced, if it is longer.
    """
    longest = max(image_rgb.shape[:2])
    if side is not None and longest > side:
        height, width = (max(round(n * side / longest), 1) for n in image_rgb.shape[:2])
        image_rgb = np.asarray(
            cv2.resize(image_rgb, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8
        )
    bgr = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR)
    _, file = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return file.tobytes()


def overlay(crop_rgb: Image, log_odds: npt.NDArray[np.float64], strongest: float) -> Image:
    """Colour the parts of a crop by their contribution: red speaks for fake, blue for real.

    Args:
        crop_rgb: uint8 (S, S, 3).
        log_odds: float64 (CELLS, CELLS); the contribution of each square.
        strongest: Absolute contribution that is drawn with the full colour.

    Returns:
        uint8 (S, S, 3); the crop in grey under the colours.
    """
    values = enlarged_map(log_odds, len(crop_rgb)) / max(strongest, 1e-9)
    opacity = (np.abs(values).clip(0, 1) * _MAX_OPACITY)[..., None]
    fake, real = np.array([_FAKE_RGB, _REAL_RGB], dtype=np.float32)
    colours = np.where(values[..., None] > 0, fake, real)
    grey = cv2.cvtColor(crop_rgb, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    return np.asarray((grey * (1 - opacity) + colours * opacity).round(), dtype=np.uint8)


def residual_picture(residual_rgb: Image) -> Image:
    """Return noise residuals as a grey picture, amplified so that one can see them.

    Args:
        residual_rgb: uint8 (S, S, 3); see `residual.residual_image`.

    Returns:
        uint8 (S, S, 3); a residual of 0 is middle grey.
    """
    residuals = residual_rgb[..., _RESIDUAL_CHANNEL, None].astype(np.float32) - ZERO
    amplified = (ZERO + _AMPLIFICATION * residuals).clip(0, 255).astype(np.uint8)
    return np.repeat(amplified, 3, axis=2)
