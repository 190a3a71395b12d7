"""The images for the calibration of detectors: people in front of backgrounds made here."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from deepfake_seq.extract.calibration.crops import FACE_CENTER, Image, compressed, lit
from deepfake_seq.extract.faces.windows import SIZES, WINDOW
from deepfake_seq.portrait import portrait

FRAMES = 120
_SEED = 0
_WHOLE = ((360, 640), (240, 427), (640, 360), (360, 480))
"""Heights and widths of whole frames at the sizes at which they are searched by default."""

_FACE_SIDE = 200
"""Approximate height and width of the face in the portrait."""

_SMALLEST = 16
"""Side of the smallest faces."""

_UNIFORM_ROWS = slice(380, 600)
"""Rows of the portrait below the face."""


def frames() -> Iterator[Image]:
    """Yield `FRAMES` different images, uint8 (H, W, 3), RGB: whole frames and windows in turn.

    A whole frame shows one to three faces of 16 pixels or more, a window one, in its middle.
    """
    generator = np.random.default_rng(_SEED)
    source, head = portrait(), _head()
    for number in range(FRAMES // 2):
        size = _WHOLE[number % len(_WHOLE)]
        frame = _background(source, size, generator)
        people = int(generator.integers(1, 4))
        for person in range(people):
            column = (person + generator.uniform(0.3, 0.7)) * size[1] / people
            row = size[0] * generator.uniform(0.3, 0.7)
            side = np.exp(generator.uniform(np.log(_SMALLEST), np.log(0.7 * min(size))))
            frame = _with_face(frame, head, (column, row, side), generator)
        yield compressed(lit(frame, generator), generator)

        length = SIZES[number % len(SIZES)]
        window = _background(source, (length, length), generator)
        column, row = length / 2 + generator.normal(0, length / 20, 2)
        side = length / WINDOW * generator.uniform(0.8, 1.25)
        window = _with_face(window, head, (column, row, side), generator)
        yield compressed(lit(window, generator), generator)


def _background(source: Image, size: tuple[int, int], generator: np.random.Generator) -> Image:
    """Return colours that change slowly, mixed with the uniform of the portrait, stretched."""
    rows, columns = generator.integers(2, 13, 2)
    greys = generator.uniform(0, 255, (rows, columns, 1))
    cells = np.clip(greys + generator.normal(0, 30, (rows, columns, 3)), 0, 255).astype(np.uint8)
    colours = cv2.resize(cells, size[::-1], interpolation=cv2.INTER_CUBIC)
    uniform = cv2.resize(source[_UNIFORM_ROWS], size[::-1], interpolation=cv2.INTER_AREA)
    share = generator.uniform(0, 1)
    return np.asarray(cv2.addWeighted(uniform, share, colours, 1 - share, 0), dtype=np.uint8)


def _head() -> Image:
    """Return the portrait with the opacity of its head as a fourth channel, uint8 (600, 512, 4)."""
    source = portrait()
    opacity = np.zeros(source.shape[:2], dtype=np.uint8)
    cv2.ellipse(opacity, FACE_CENTER, (130, 190), 0, 0, 360, 255, -1)
    return np.dstack([source, cv2.GaussianBlur(opacity, (0, 0), 8)])


def _with_face(
    image: Image, head: Image, place: tuple[float, float, float], generator: np.random.Generator
) -> Image:
    """Draw a head, turned, into an image.

    Args:
        image: uint8 (H, W, 3).
        head: See `_head`.
        place: Column and row of the middle of the face, and its side, in pixels.
        generator: Source of randomness.
    """
    column, row, side = place
    scale = side / _FACE_SIDE
    small = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    middle = (FACE_CENTER[0] * scale, FACE_CENTER[1] * scale)
    matrix = cv2.getRotationMatrix2D(middle, generator.uniform(-20, 20), 1.0)
    matrix[0, 2] += column - middle[0]
    matrix[1, 2] += row - middle[1]
    drawn = cv2.warpAffine(small, matrix, (image.shape[1], image.shape[0]))
    share = drawn[..., 3:] / 255
    return np.rint(share * drawn[..., :3] + (1 - share) * image).astype(np.uint8)
