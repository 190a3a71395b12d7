"""The face crops for calibration: one portrait at many scales, in many lights and qualities."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from deepfake_seq.portrait import portrait

CROPS = 200
_SEED = 0
FACE_CENTER = (258, 195)
"""Column and row of the middle of the face in the portrait."""

Image = npt.NDArray[np.uint8]


def crops() -> Iterator[Image]:
    """Yield `CROPS` different square crops, uint8 (side, side, 3), RGB, of 80 to 400 pixels."""
    generator = np.random.default_rng(_SEED)
    source = portrait()
    for _ in range(CROPS):
        square = _framed(source, generator)
        if generator.random() < 0.5:
            square = square[:, ::-1]
        yield compressed(lit(square, generator), generator)


def _framed(source: Image, generator: np.random.Generator) -> Image:
    """Return a crop around the face: between the face alone and head with shoulders, turned."""
    seen, side = generator.uniform(160, 420), int(generator.integers(80, 401))
    turn = np.radians(generator.uniform(-15, 15))
    column, row = FACE_CENTER + generator.normal(0, 20, 2)
    cos, sin = np.cos(turn) * side / seen, np.sin(turn) * side / seen
    matrix = np.array(
        [
            [cos, sin, side / 2 - cos * column - sin * row],
            [-sin, cos, side / 2 + sin * column - cos * row],
        ]
    )
    framed = cv2.warpAffine(
        source, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(framed, dtype=np.uint8)


def lit(image: Image, generator: np.random.Generator) -> Image:
    """Change contrast, colour balance and brightness."""
    gain = generator.uniform(0.5, 1.5) * generator.uniform(0.85, 1.15, 3)
    return np.clip(image * gain + generator.uniform(-30, 30), 0, 255).astype(np.uint8)


def compressed(image: Image, generator: np.random.Generator) -> Image:
    """Compress and decompress as JPEG, in some quality."""
    quality = int(generator.integers(30, 96))
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), dtype=np.uint8)
