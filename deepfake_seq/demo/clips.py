"""Generate short clips from one portrait, with camera motion, lighting and compression.

In a fake clip, the face is altered and blended back in, differently in each frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from deepfake_seq.portrait import portrait

SIZE = 256
FRAMES = 48
FPS = 24
_FACE_BOX = (0.31, 0.13, 0.70, 0.52)
"""Left, top, right and bottom of the face, as fractions of the portrait's sides."""

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Take:
    """Recording conditions of one clip.

    Attributes:
        seed: Seed of the camera path, the lighting and the noise.
        crf: Constant rate factor of H.264; a higher value compresses more.
    """

    seed: int
    crf: int


def frames(take: Take, *, fake: bool) -> Iterator[Image]:
    """Yield the frames, uint8 (SIZE, SIZE, 3), RGB; real and fake share camera and lighting."""
    generator = np.random.default_rng(take.seed)
    camera = _camera_path(generator)
    light = 1.0 + 0.15 * np.sin(np.linspace(0, generator.uniform(2, 6), FRAMES))
    gain = generator.uniform(0.8, 1.2, size=3)
    face_generator = np.random.default_rng(take.seed + 1_000_000)
    source = portrait()
    for number in range(FRAMES):
        image = _alter_face(source, face_generator) if fake else source
        view = cv2.warpAffine(image, camera[number], (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT)
        lit = view.astype(np.float32) * gain * light[number]
        noisy = lit + generator.normal(0, 2.0, size=lit.shape)
        yield np.clip(noisy, 0, 255).astype(np.uint8)


def write_clip(path: Path, take: Take, *, fake: bool) -> None:
    """Write a clip as H.264 in MP4."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(take.crf), "preset": "veryfast"}
        for image in frames(take, fake=fake):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def _camera_path(generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return float64 (FRAMES, 2, 3), affine maps from portrait to clip: slow pan, zoom and roll."""
    steps = np.linspace(0, 1, FRAMES)
    phase, speed = generator.uniform(0, 2 * np.pi, 4), generator.uniform(1, 4, 4)
    sway = np.sin(phase[:, None] + speed[:, None] * steps)
    scale = SIZE / 470 * (generator.uniform(0.95, 1.35) + 0.08 * sway[0])
    angle = np.radians(generator.uniform(-6, 6) + 4 * sway[1])
    center = np.array([258.0, 220.0]) + np.stack([18 * sway[2], 14 * sway[3]], axis=1)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    matrices = np.zeros((FRAMES, 2, 3))
    matrices[:, 0, 0], matrices[:, 0, 1] = cos, sin
    matrices[:, 1, 0], matrices[:, 1, 1] = -sin, cos
    matrices[:, 0, 2] = SIZE / 2 - cos * center[:, 0] - sin * center[:, 1]
    matrices[:, 1, 2] = SIZE / 2 + sin * center[:, 0] - cos * center[:, 1]
    return matrices


def _alter_face(image: Image, generator: np.random.Generator) -> Image:
    """Warp, blur and tint the face, and blend it back in with a soft edge."""
    height, width = image.shape[:2]
    left, top, right, bottom = (
        round(fraction * length)
        for fraction, length in zip(_FACE_BOX, (width, height, width, height), strict=True)
    )
    face = image[top:bottom, left:right].astype(np.float32)
    rows, columns = face.shape[:2]
    # Smooth random displacement of a few pixels, like the frame-to-frame jitter of a face swap.
    field = generator.normal(0, 1, size=(4, 4, 2)).astype(np.float32)
    bend = cv2.resize(field, (columns, rows), interpolation=cv2.INTER_CUBIC) * 6.0
    grid_x, grid_y = np.meshgrid(np.arange(columns), np.arange(rows))
    altered = cv2.remap(
        face,
        (grid_x + bend[..., 0]).astype(np.float32),
        (grid_y + bend[..., 1]).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    altered = cv2.GaussianBlur(altered, (0, 0), 2.0)
    altered = altered * generator.uniform(0.85, 1.15, size=3).astype(np.float32)
    ellipse = np.zeros((rows, columns), dtype=np.float32)
    axes = (int(columns * 0.40), int(rows * 0.42))
    cv2.ellipse(ellipse, (columns // 2, rows // 2), axes, 0, 0, 360, 1.0, -1)
    mask = cv2.GaussianBlur(ellipse, (0, 0), columns / 18)[..., None]
    result = image.copy()
    blended = altered * mask + face * (1 - mask)
    result[top:bottom, left:right] = np.clip(blended, 0, 255).astype(np.uint8)
    return result
