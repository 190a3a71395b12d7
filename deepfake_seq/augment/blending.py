"""Self-blended fakes: a real face, a little changed and blended into itself.

Kaede Shiohara and Toshihiko Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022
(https://arxiv.org/abs/2204.08376). What is left are the traces that face swaps have in common: the
seam of a mask, features in two places, and colours and detail that do not match. The paper blends
single images; here everything is drawn once for a clip, and follows the face. The paper changes
the colours of either copy, and shows the model that copy in the place of the real clip; here it is
always those of the face, so that nothing but the face tells a fake from the clip as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepfake_seq.augment.crops import Crops, Images
from deepfake_seq.augment.masks import about, draw_mask, laid_over
from deepfake_seq.augment.placement import Placement, placements
from deepfake_seq.augment.retouching import Retouch, draw_retouch, retouched

_ENLARGED = (0.01, 0.05)
_SHIFTED_ACROSS = (0.02, 0.1)
_SHIFTED_DOWN = (0.01, 0.05)
"""How much the source is resized, and moved in units of the face, one way or the other. The most is
what the paper has: 5 %, and 3 and 1.5 % of the image. The least leaves no fake without a trace."""


@dataclass(frozen=True, eq=False)
class Blend:
    """What is done to every frame of a clip.

    Attributes:
        mask: float32 (masks.SIDE, masks.SIDE); how much of the source is seen.
        retouch: What is done to the source.
        scale: What the source is enlarged by, about the middle of the face.
        shift: Of the source, along the axes of the face, in units of the face.
    """

    mask: npt.NDArray[np.float32]
    retouch: Retouch
    scale: float
    shift: tuple[float, float]


def self_blend(crops: Crops, generator: np.random.Generator) -> Images:
    """A fake that is made from a clip alone.

    Args:
        crops: The clip.
        generator: What is drawn from.

    Returns:
        Images of the same sides.
    """
    return apply_blend(crops, draw_blend(generator))


def draw_blend(generator: np.random.Generator) -> Blend:
    """One draw."""
    mask, retouch = draw_mask(generator), draw_retouch(generator)
    scale = 1 + abs(_either_way(generator, _ENLARGED))
    if generator.random() < 0.5:
        scale = 1 / scale
    shift = (_either_way(generator, _SHIFTED_ACROSS), _either_way(generator, _SHIFTED_DOWN))
    return Blend(mask, retouch, scale, shift)


def apply_blend(crops: Crops, blend: Blend) -> Images:
    """The fake that a draw describes."""
    return [
        _blended(image, placement, blend)
        for image, placement in zip(crops.images_rgb, placements(crops), strict=True)
    ]


def mask_of(placement: Placement, size: int, blend: Blend) -> npt.NDArray[np.float32]:
    """How much of the source is seen, float32 (size, size), 0 to 1; it moves with the source."""
    return laid_over(blend.mask, _moved(placement, blend) @ _square(placement.to_pixels()), size)


def _blended(
    image_rgb: npt.NDArray[np.uint8], placement: Placement, blend: Blend
) -> npt.NDArray[np.uint8]:
    import cv2

    size = len(image_rgb)
    target = image_rgb.astype(np.float32)
    source = cv2.warpAffine(
        retouched(target, blend.retouch),
        _moved(placement, blend),
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    mask = mask_of(placement, size, blend)[..., None]
    mixed = source * mask + target * (1 - mask)
    return np.asarray(mixed.clip(0, 255).round(), dtype=np.uint8)


def _moved(placement: Placement, blend: Blend) -> npt.NDArray[np.float64]:
    return about(placement, blend.scale, blend.shift)


def _square(transform: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.vstack([transform, [0.0, 0.0, 1.0]])


def _either_way(generator: np.random.Generator, most: tuple[float, float]) -> float:
    size = generator.uniform(*most)
    return size if generator.random() < 0.5 else -size
