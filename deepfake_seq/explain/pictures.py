"""The pictures of a report: crops, maps over crops, and noise residuals, as JPEG files."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from deepfake_seq.explain.capture import Image
from deepfake_seq.explain.occlusion import enlarged_map
from deepfake_seq.extract.evidence.residual import ZERO

_QUALITY = 85
_MAX_OPACITY = 0.65
_FAKE_RGB, _REAL_RGB = (214, 40, 30), (30, 90, 200)
"""Colours of the parts that speak for fake and for real."""

_RESIDUAL_CHANNEL = 1
"""The 5×5 filter, which leaves the least of the picture itself."""

_AMPLIFICATION = 4


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
