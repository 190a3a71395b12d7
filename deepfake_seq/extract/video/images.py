"""Decoded frames to images as a player shows them: upright, square pixels, SDR colours."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from av.video.reformatter import Colorspace, Interpolation

from deepfake_seq.extract.video.colour import ColourTags, Conversion

_SMALLEST_STRETCH = Fraction(101, 100)
_LARGEST_STRETCH = Fraction(4)
_UNKNOWN_MATRIX = (0, 2)


class FrameReader:
    """Makes images from the frames of one open video.

    Args:
        stream: PyAV's stream, from which no frame has been decoded yet.
        max_pixels: Maximum number of pixels of an image.

    Attributes:
        facts: What was changed in the first image: `sample_aspect_ratio`, `tone_mapping`.
    """

    def __init__(self, stream: Any, max_pixels: int) -> None:
        self._context = stream.codec_context
        self._max_pixels = max_pixels
        # A decoder may only know what the frames say, while the container says more.
        self._container_tags = ColourTags(self._context.color_trc, self._context.color_primaries)
        self._container_ratio = stream.sample_aspect_ratio
        self._first_ratio = self._context.sample_aspect_ratio
        self.facts: dict[str, str] = {}
        self._key_rotation = 0

    def follow(self, frame: Any) -> None:
        """Remember what a frame sets for later frames; call this with every decoded frame."""
        if frame.key_frame:
            self._key_rotation = frame.rotation

    def image(self, frame: Any) -> npt.NDArray[np.uint8]:
        """Return a frame as an image, uint8 (H, W, 3).

        The narrower direction is stretched to square pixels before the display rotation is applied.
        """
        ratio = self._sample_aspect_ratio()
        tags = ColourTags(frame.color_trc, frame.color_primaries).or_else(self._container_tags)
        conversion = Conversion.of(tags)
        size = square_size(frame.width, frame.height, ratio, self._max_pixels)
        form: dict[str, Any] = {"width": size[0], "height": size[1]}
        if size != (frame.width, frame.height):
            form["interpolation"] = Interpolation.BICUBIC
            self.facts.setdefault("sample_aspect_ratio", f"{ratio.numerator}:{ratio.denominator}")
        if conversion is None:
            image = frame.to_ndarray(format="rgb24", **form)
        else:
            self.facts.setdefault("tone_mapping", str(conversion))
            if frame.colorspace in _UNKNOWN_MATRIX and frame.format.name.startswith("yuv"):
                form["src_colorspace"] = Colorspace.BT2020
            image = conversion.apply(frame.to_ndarray(format="rgb48le", **form))
        # In H.264 and H.265, only key frames may say how the picture is turned.
        return _upright(image, frame.rotation or self._key_rotation)

    def _sample_aspect_ratio(self) -> Fraction:
        """Return the ratio of width to height of a pixel of the frame decoded last; 0 if unknown.

        The container's ratio counts, unless the one in the video changes.
        """
        current = self._context.sample_aspect_ratio
        ratio = self._container_ratio if current == self._first_ratio else current
        return Fraction(ratio or 0)


def square_size(width: int, height: int, ratio: Fraction, max_pixels: int) -> tuple[int, int]:
    """Return the size of an image with square pixels.

    The narrower direction is stretched, so that no pixel is lost; if the image would have too many
    pixels, the other direction is shrunk instead. Ratios of less than 1 % (the rounding errors of
    encoders) or more than 4 to 1 (errors) are ignored.

    Args:
        width: Width of the stored frame in pixels.
        height: Height of the stored frame in pixels.
        ratio: Width of a pixel, divided by its height; 0 if unknown.
        max_pixels: Maximum number of pixels.
    """
    stretch = max(ratio, 1 / ratio) if ratio > 0 else Fraction(1)
    if not _SMALLEST_STRETCH <= stretch <= _LARGEST_STRETCH:
        return width, height
    wide = ratio > 1
    if width * height * stretch <= max_pixels:
        return (round(width * stretch), height) if wide else (width, round(height * stretch))
    if wide:
        return width, max(round(height / stretch), 1)
    return max(round(width / stretch), 1), height


def _upright(image: npt.NDArray[np.uint8], rotation: int) -> npt.NDArray[np.uint8]:
    """Rotate an image by the display rotation, in degrees counterclockwise."""
    if rotation % 90 or abs(rotation) > 360:
        return image
    return np.ascontiguousarray(np.rot90(image, k=rotation // 90))
