"""Self-blended fakes: a real face, slightly changed and blended into itself.

Kaede Shiohara and Toshihiko Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022
(https://arxiv.org/abs/2204.08376). The result has the artefacts that face swaps share: the edge of
a mask, displaced facial features, and colours and detail that do not match. There are two
differences from the paper. It blends single images; here, random values are drawn once per clip and
follow the face. It changes the colours of one of the two copies at random and uses that copy as the
real image; here, only the blended face is changed, so that the background of a fake equals that of
its real clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.augment.crops import Crops, Images
from deepfake_seq.augment.masks import draw_mask, scale_about_face, warp_mask
from deepfake_seq.augment.placement import Placement, locate_faces
from deepfake_seq.augment.retouching import Retouch, apply_retouch, draw_retouch
from deepfake_seq.face_regions import mask_shares, mean_shares

_SCALE_CHANGE = (0.01, 0.05)
_SHIFT_ACROSS = (0.02, 0.1)
_SHIFT_DOWN = (0.01, 0.05)
"""Ranges of the source's change in scale, and of its shift in units of the face, in either
direction. The maxima are those of the paper: 5 %, and 3 and 1.5 % of the image. The minima ensure
that every fake has artefacts."""


@dataclass(frozen=True, eq=False)
class Blend:
    """Parameters of a self-blended fake, the same for all frames of a clip.

    Attributes:
        mask: float32 (masks.SIDE, masks.SIDE); opacity of the source, from 0 to 1.
        retouch: Changes of colour and sharpness of the source.
        scale: Factor that enlarges the source about the centre of the face.
        shift: Shift of the source along the axes of the face, in units of the face.
    """

    mask: npt.NDArray[np.float32]
    retouch: Retouch
    scale: float
    shift: tuple[float, float]


def self_blend(crops: Crops, generator: np.random.Generator) -> Images:
    """Make a fake from a real clip.

    Args:
        crops: Crops of the clip.
        generator: Source of random numbers.

    Returns:
        Images of the same sizes as the crops.
    """
    return apply_blend(crops, draw_blend(generator))


def draw_blend(generator: np.random.Generator) -> Blend:
    """Draw the parameters of a fake."""
    mask, retouch = draw_mask(generator), draw_retouch(generator)
    scale = 1 + abs(_random_sign(generator, _SCALE_CHANGE))
    if generator.random() < 0.5:
        scale = 1 / scale
    shift = (_random_sign(generator, _SHIFT_ACROSS), _random_sign(generator, _SHIFT_DOWN))
    return Blend(mask, retouch, scale, shift)


def apply_blend(crops: Crops, blend: Blend) -> Images:
    """Return the fake with the given parameters."""
    return [
        _blend_frame(image, placement, blend)
        for image, placement in zip(crops.images_rgb, locate_faces(crops), strict=True)
    ]


def blended_shares(crops: Crops, blend: Blend) -> list[float]:
    """Return the share of each face region that the source replaces, as its mean opacity there.

    Args:
        crops: Crops of the clip, at least one.
        blend: Parameters of the fake.

    Returns:
        Six numbers from 0 to 1, in the order of `face_regions.REGIONS`; means over the frames.
    """
    frames = []
    for image, landmarks, placement in zip(
        crops.images_rgb, crops.landmarks, locate_faces(crops), strict=True
    ):
        frames.append(mask_shares(warp_blend_mask(placement, len(image), blend), landmarks))
    return mean_shares(frames)


def warp_blend_mask(placement: Placement, size: int, blend: Blend) -> npt.NDArray[np.float32]:
    """Return the opacity of the moved source in a crop, float32 (size, size), from 0 to 1."""
    to_pixels = _source_transform(placement, blend) @ _homogeneous(placement.to_pixels())
    return warp_mask(blend.mask, to_pixels, size)


def _blend_frame(
    image_rgb: npt.NDArray[np.uint8], placement: Placement, blend: Blend
) -> npt.NDArray[np.uint8]:
    import cv2

    size = len(image_rgb)
    target = image_rgb.astype(np.float32)
    source = cv2.warpAffine(
        apply_retouch(target, blend.retouch),
        _source_transform(placement, blend),
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    mask = warp_blend_mask(placement, size, blend)[..., None]
    blended = source * mask + target * (1 - mask)
    return np.asarray(blended.clip(0, 255).round(), dtype=np.uint8)


def _source_transform(placement: Placement, blend: Blend) -> npt.NDArray[np.float64]:
    return scale_about_face(placement, blend.scale, blend.shift)


def _homogeneous(transform: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.vstack([transform, [0.0, 0.0, 1.0]])


def _random_sign(generator: np.random.Generator, size_range: tuple[float, float]) -> float:
    size = generator.uniform(*size_range)
    return size if generator.random() < 0.5 else -size
