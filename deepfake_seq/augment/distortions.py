"""Distortions of fixed strength that a detector is tested under.

`DEEPERFORENSICS` has the kinds and levels of DeeperForensics-1.0 (Jiang et al., CVPR 2020), applied
to the face crop instead of the whole frame. `FIELD` has what happens to videos on their way:
smaller faces, repeated compression, a lower frame rate. `GRID` combines face size, compression and
blur, for error rates under the conditions of a clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from deepfake_seq.augment.crops import Images
from deepfake_seq.augment.degradation import blur, h264, jpeg

DISTORTIONS_VERSION = 1
"""Must be increased when a change of this code changes the pixels."""

_BLOCK_SIDE = 8  # pixels


@dataclass(frozen=True)
class Distortion:
    """A way to make a clip worse.

    Attributes:
        kind: Key of `KINDS`.
        level: Strength; its meaning depends on the kind. A grid cell has the side of the face in
            pixels, the constant rate factor of H.264 and the sigma of the blur as a fraction of the
            crop; 0 leaves that property as it is.
    """

    kind: str
    level: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """Kind and level, such as `blur 7`; unique."""
        return " ".join([self.kind, *(f"{value:g}" for value in self.level)])

    def scale(self, face_pixels: float) -> float:
        """Return the factor by which the face is reduced; above 1 if the face is too small.

        Args:
            face_pixels: Side of the face in the clip in pixels.
        """
        side = self.level[0] if self.kind in ("face_pixels", "grid") else 0
        return side / face_pixels if side else 1.0

    def apply(self, images_rgb: Images, face_pixels: float, seed: tuple[int, ...]) -> Images:
        """Distort the crops of a clip.

        Args:
            images_rgb: Crops in chronological order, uint8 (S, S, 3) each; S may differ.
            face_pixels: Side of the face in the clip in pixels.
            seed: Seed of random distortions, as 32-bit words.
        """
        generator = np.random.default_rng(np.random.SeedSequence(seed))
        return KINDS[self.kind](list(images_rgb), self, self.scale(face_pixels), generator)


UNCHANGED = Distortion("none")


def _each(
    change: Callable[[npt.NDArray[np.uint8], float], npt.NDArray[np.uint8]],
) -> Callable[[Images, Distortion, float, np.random.Generator], Images]:
    """Return a kind that changes each image by itself."""
    return lambda images, distortion, scale, generator: [
        change(image, distortion.level[0]) for image in images
    ]


def _saturation(image_rgb: npt.NDArray[np.uint8], factor: float) -> npt.NDArray[np.uint8]:
    """Scale the colour difference signals."""
    import cv2

    coded = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2YCrCb).astype(np.float32)
    coded[..., 1:] = 128 + (coded[..., 1:] - 128) * factor
    return _to_rgb(coded)


def _contrast(image_rgb: npt.NDArray[np.uint8], factor: float) -> npt.NDArray[np.uint8]:
    """Scale all channels towards black, as in the authors' code."""
    return (image_rgb * np.float32(factor)).round().astype(np.uint8)


def _gaussian_blur(image_rgb: npt.NDArray[np.uint8], kernel: float) -> npt.NDArray[np.uint8]:
    """Blur with a kernel of `kernel` pixels, whose sigma is a sixth of it."""
    import cv2

    size = int(kernel)
    return np.asarray(cv2.GaussianBlur(image_rgb, (size, size), kernel / 6), dtype=np.uint8)


def _pixelation(image_rgb: npt.NDArray[np.uint8], factor: float) -> npt.NDArray[np.uint8]:
    """Reduce the image by `factor` and enlarge it again, both by linear interpolation."""
    import cv2

    side = len(image_rgb)
    small = max(int(side / factor), 1)
    reduced = cv2.resize(image_rgb, (small, small))
    return np.asarray(cv2.resize(reduced, (side, side)), dtype=np.uint8)


def _blocks(
    images: Images, distortion: Distortion, scale: float, generator: np.random.Generator
) -> Images:
    """Cover each image with grey blocks at random places."""
    for position, image in enumerate(images):
        images[position] = image.copy()
        corners = generator.integers(max(len(image) - _BLOCK_SIDE, 1), size=(_count(distortion), 2))
        for top, left in corners:
            images[position][top : top + _BLOCK_SIDE, left : left + _BLOCK_SIDE] = 128
    return images


def _noise(
    images: Images, distortion: Distortion, scale: float, generator: np.random.Generator
) -> Images:
    """Add Gaussian noise to luma and colour differences; the level is its variance of 0 to 1."""
    import cv2

    sigma = 255 * float(np.sqrt(distortion.level[0]))
    noisy = []
    for image in images:
        coded = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb), dtype=np.float32)
        noise = generator.normal(0, sigma, image.shape).astype(np.float32)
        noisy.append(_to_rgb(coded + noise))
    return noisy


def _h264(
    images: Images, distortion: Distortion, scale: float, generator: np.random.Generator
) -> Images:
    for _ in range(2 if distortion.kind == "double_h264" else 1):
        images = h264(images, _count(distortion))
    return images


def _jpeg(
    images: Images, distortion: Distortion, scale: float, generator: np.random.Generator
) -> Images:
    return jpeg(images, _count(distortion))


def _half_rate(
    images: Images, distortion: Distortion, scale: float, generator: np.random.Generator
) -> Images:
    """Show every second image twice."""
    return [images[position - position % 2] for position in range(len(images))]


def _grid(
    images: Images, distortion: Distortion, scale: float, generator: np.random.Generator
) -> Images:
    """Blur, reduce and compress, in the order in which this happens to a video."""
    _, crf, sigma = distortion.level
    images = blur(images, sigma) if sigma else images
    images = _reduced(images, distortion, scale, generator)
    return h264(images, int(crf)) if crf else images


def _reduced(
    images: Images, distortion: Distortion, scale: float, generator: np.random.Generator
) -> Images:
    """Reduce each image to `scale` times its size."""
    import cv2

    if scale >= 1:
        return images
    sides = [max(round(len(image) * scale), 1) for image in images]
    return [
        np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        for image, side in zip(images, sides, strict=True)
    ]


def _count(distortion: Distortion) -> int:
    return int(distortion.level[0])


def _to_rgb(coded: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    import cv2

    rounded = coded.clip(0, 255).round().astype(np.uint8)
    return np.asarray(cv2.cvtColor(rounded, cv2.COLOR_YCrCb2RGB), dtype=np.uint8)


KINDS: dict[str, Callable[[Images, Distortion, float, np.random.Generator], Images]] = {
    "none": lambda images, distortion, scale, generator: images,
    "saturation": _each(_saturation),
    "contrast": _each(_contrast),
    "blocks": _blocks,
    "noise": _noise,
    "blur": _each(_gaussian_blur),
    "pixelation": _each(_pixelation),
    "h264": _h264,
    "face_pixels": _reduced,
    "double_h264": _h264,
    "jpeg": _jpeg,
    "half_rate": _half_rate,
    "grid": _grid,
}
"""Functions that distort crops, by kind."""


def _levels(kind: str, *levels: float) -> tuple[Distortion, ...]:
    return tuple(Distortion(kind, (level,)) for level in levels)


DEEPERFORENSICS = (
    *_levels("saturation", 0.4, 0.3, 0.2, 0.1, 0.0),
    *_levels("contrast", 0.85, 0.725, 0.6, 0.475, 0.35),
    *_levels("blocks", 16, 32, 48, 64, 80),
    *_levels("noise", 0.001, 0.002, 0.005, 0.01, 0.05),
    *_levels("blur", 7, 9, 13, 17, 21),
    *_levels("pixelation", 2, 3, 4, 5, 6),
    *_levels("h264", 30, 32, 35, 38, 40),
)

FIELD = (
    *_levels("face_pixels", 160, 96, 64, 48),
    *_levels("double_h264", 23, 28, 33),
    *_levels("jpeg", 90, 70, 50, 30),
    Distortion("half_rate"),
)

GRID = tuple(
    Distortion("grid", level)
    for level in product((0.0, 128.0, 80.0, 48.0), (0.0, 36.0, 46.0), (0.0, 0.01))
    if any(level)
)
"""Every combination of face size, compression and blur, except the unchanged clip. The few crops
lose less at a CRF than a whole video: 46 shows as many blocks as 40 does there."""

SUITES = {"deeperforensics": DEEPERFORENSICS, "field": FIELD, "grid": GRID}
