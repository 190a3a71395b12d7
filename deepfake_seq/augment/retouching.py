"""Random changes of colour and sharpness of the face in a self-blended fake.

Follows the source-target generator of Shiohara and Yamasaki (CVPR 2022, section 3.1). The changes
are the same in all frames, so that nothing flickers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_RGB_SHIFT = 20.0
_RGB_SHIFT_CHANCE = 0.3
"""Maximum shift of each channel in grey levels, and its probability, as in the authors' code."""

_HUE = 6.0
_SATURATION = 0.2
_VALUE = 0.05
"""Maximum changes: of the hue in degrees, of the saturation as a fraction of itself, of the value
as a fraction of its range. Small enough to keep skin colours natural."""

_BRIGHTNESS = 0.1
_CONTRAST = 0.1
"""Maximum changes of brightness and contrast, as in the paper."""

_SHRINK = (1.5, 3.0)
"""Range of the factor of downscaling. The authors' code uses 2 or 4, but a quarter of a crop of 200
pixels shows no facial features."""

_SHARPEN = (0.5, 1.5)
_SHARPEN_SIGMA = 1.0
"""Range of the strength of unsharp masking, and its sigma in pixels."""


@dataclass(frozen=True)
class Retouch:
    """Changes of colour and sharpness.

    Attributes:
        rgb: Shift of each channel in grey levels.
        hue: Shift of the hue in degrees.
        saturation: Factor of the saturation.
        value: Shift of the value, as a fraction of its range.
        brightness: Shift of the brightness, as a fraction of its range.
        contrast: Factor of the distance from middle grey.
        shrink: Factor by which the image is downscaled and upscaled again; 1 leaves it as it is.
        sharpen: Strength of unsharp masking; 0 leaves the image as it is.
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
    """Draw changes of colour, and either a loss of detail or sharpening."""
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


def apply_retouch(image_rgb: npt.NDArray[np.float32], retouch: Retouch) -> npt.NDArray[np.float32]:
    """Change the colours and the sharpness of an image.

    Args:
        image_rgb: float32 (S, S, 3), from 0 to 255.
        retouch: Changes to apply.

    Returns:
        float32 (S, S, 3), from 0 to 255.
    """
    return _change_sharpness(_change_colours(image_rgb, retouch), retouch)


def _change_colours(
    image_rgb: npt.NDArray[np.float32], retouch: Retouch
) -> npt.NDArray[np.float32]:
    import cv2

    image = (image_rgb + np.array(retouch.rgb, dtype=np.float32)).clip(0, 255) / np.float32(255)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + retouch.hue) % 360
    # Multiply, so that grey stays grey: adding would make the random hue of grey pixels visible.
    hsv[..., 1] = (hsv[..., 1] * retouch.saturation).clip(0, 1)
    hsv[..., 2] = (hsv[..., 2] + retouch.value).clip(0, 1)
    toned = (cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) - 0.5) * retouch.contrast + 0.5
    return np.asarray((toned + retouch.brightness).clip(0, 1) * 255, dtype=np.float32)


def _change_sharpness(
    image_rgb: npt.NDArray[np.float32], retouch: Retouch
) -> npt.NDArray[np.float32]:
    import cv2

    size = len(image_rgb)
    if retouch.shrink > 1:
        small = max(round(size / retouch.shrink), 1)
        image = cv2.resize(image_rgb, (small, small), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR))
    blurred = cv2.GaussianBlur(image_rgb, (0, 0), _SHARPEN_SIGMA)
    sharp = image_rgb + retouch.sharpen * (image_rgb - blurred)
    return np.asarray(sharp.clip(0, 255), dtype=np.float32)
