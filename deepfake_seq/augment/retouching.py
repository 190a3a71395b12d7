"""Changes of colour and of sharpness, by which two images of one face come to differ.

After the source-target generator of Shiohara and Yamasaki (CVPR 2022, section 3.1). What it does to
a pixel does not depend on the frame, so that nothing flickers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_RGB_SHIFT = 20.0
_RGB_SHIFT_CHANCE = 0.3
"""Grey levels at most for each channel, and how often, as in the authors' code."""

_HUE = 6.0
_SATURATION = 0.2
_VALUE = 0.05
"""Degrees, a share of what is there, and a fraction of the range, at most. Skin stays skin."""

_BRIGHTNESS = 0.1
_CONTRAST = 0.1
"""At most, as in the paper."""

_SHRINK = (1.5, 3.0)
"""2 or 4 in the authors' code; of a crop of 200 pixels a quarter leaves no features."""

_SHARPEN = (0.5, 1.5)
_SHARPEN_SIGMA = 1.0


@dataclass(frozen=True)
class Retouch:
    """What is done to an image.

    Attributes:
        rgb: Added to the channels, in grey levels.
        hue: Added, in degrees.
        saturation: What it is multiplied by.
        value: Added, as a fraction of the range.
        brightness: Likewise.
        contrast: What the distance from middle grey is multiplied by.
        shrink: How much smaller the image is made, before it is made as large as before; 1 for not.
        sharpen: How much of what a blur takes away is added; 0 for none.
    """

    rgb: tuple[float, float, float]
    hue: float
    saturation: float
    value: float
    brightness: float
    contrast: float
    shrink: float
    sharpen: float


def draw_retouch(generator: np.random.Generator) -> Retouch:
    """One draw: colours always, and either less detail or more of it."""
    shifts = generator.uniform(-_RGB_SHIFT, _RGB_SHIFT, 3)
    shifted = generator.random() < _RGB_SHIFT_CHANCE
    red, green, blue = (float(shift) if shifted else 0.0 for shift in shifts)
    hue = generator.uniform(-_HUE, _HUE)
    saturation = 1 + generator.uniform(-_SATURATION, _SATURATION)
    value = generator.uniform(-_VALUE, _VALUE)
    brightness = generator.uniform(-_BRIGHTNESS, _BRIGHTNESS)
    contrast = 1 + generator.uniform(-_CONTRAST, _CONTRAST)
    shrunk = generator.random() < 0.5
    shrink, sharpen = generator.uniform(*_SHRINK), generator.uniform(*_SHARPEN)
    return Retouch(
        (red, green, blue),
        hue,
        saturation,
        value,
        brightness,
        contrast,
        shrink if shrunk else 1.0,
        0.0 if shrunk else sharpen,
    )


def retouched(image_rgb: npt.NDArray[np.float32], retouch: Retouch) -> npt.NDArray[np.float32]:
    """The image with other colours, and less or more detail.

    Args:
        image_rgb: float32 (S, S, 3), 0 to 255.
        retouch: What to do.

    Returns:
        float32 (S, S, 3), 0 to 255.
    """
    return _refocused(_recoloured(image_rgb, retouch), retouch)


def _recoloured(image_rgb: npt.NDArray[np.float32], retouch: Retouch) -> npt.NDArray[np.float32]:
    import cv2

    image = (image_rgb + np.array(retouch.rgb, dtype=np.float32)).clip(0, 255) / np.float32(255)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + retouch.hue) % 360
    # Multiplied, so that grey stays grey: an addition would bring out the noise of its hue.
    hsv[..., 1] = (hsv[..., 1] * retouch.saturation).clip(0, 1)
    hsv[..., 2] = (hsv[..., 2] + retouch.value).clip(0, 1)
    toned = (cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) - 0.5) * retouch.contrast + 0.5
    return np.asarray((toned + retouch.brightness).clip(0, 1) * 255, dtype=np.float32)


def _refocused(image_rgb: npt.NDArray[np.float32], retouch: Retouch) -> npt.NDArray[np.float32]:
    import cv2

    size = len(image_rgb)
    if retouch.shrink > 1:
        small = max(round(size / retouch.shrink), 1)
        image = cv2.resize(image_rgb, (small, small), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR))
    blurred = cv2.GaussianBlur(image_rgb, (0, 0), _SHARPEN_SIGMA)
    sharp = image_rgb + retouch.sharpen * (image_rgb - blurred)
    return np.asarray(sharp.clip(0, 255), dtype=np.float32)
