"""Degradations of videos shared online: blur and repeated compression."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.augment.crops import Images
from deepfake_seq.errors import EngineError

CHANCE = 0.5
"""Probability that each requested degradation is applied."""

BLUR_SIGMA = (0.002, 0.01)
"""Range of the blur's sigma as a fraction of the image side: 0.6 to 3 pixels of 299."""

JPEG_QUALITY = (40, 90)
"""Range of the JPEG quality: from that of messengers to that of cameras."""

H264_CRF = (23, 35)
"""Range of the constant rate factor: from 23, x264's default and FaceForensics++ c23, towards its
c40."""

_MIN_CODED_SIDE = 16  # pixels; the size of a macroblock, the smallest that x264 supports


def degrade(
    images_rgb: Sequence[npt.NDArray[np.uint8]],
    names: Collection[str],
    generator: np.random.Generator,
) -> Images:
    """Apply each named degradation with probability `CHANCE` and one random strength per clip.

    The order is always that in which videos are degraded in practice: `blur`, `jpeg`, `h264`.

    Args:
        images_rgb: Images in chronological order, uint8 (S, S, 3) each; S may differ.
        names: Names from `config.DEGRADATIONS`.
        generator: Source of random numbers.

    Returns:
        Images of the same sizes.
    """
    images = list(images_rgb)
    for name, apply in _DEGRADATIONS.items():
        if name in names and generator.random() < CHANCE:
            images = apply(images, generator)
    return images


def blur(images_rgb: Images, sigma: float) -> Images:
    """Apply a Gaussian blur.

    Args:
        images_rgb: Images, uint8 (S, S, 3) each.
        sigma: Standard deviation of the blur as a fraction of S.
    """
    import cv2

    return [
        np.asarray(cv2.GaussianBlur(image, (0, 0), sigma * len(image)), dtype=np.uint8)
        for image in images_rgb
    ]


def jpeg(images_rgb: Images, quality: int) -> Images:
    """Compress each image as JPEG with 4:2:0 chroma subsampling.

    Args:
        images_rgb: Images, uint8 (S, S, 3) each.
        quality: JPEG quality, from 1 to 95.
    """
    return [_as_jpeg(image, quality) for image in images_rgb]


def h264(images_rgb: Images, crf: int) -> Images:
    """Compress the images as the frames of a short H.264 video.

    Images smaller than the largest are padded on the right and at the bottom by repeating their
    border, and cut to their size again afterwards.

    Args:
        images_rgb: Images in chronological order, uint8 (S, S, 3) each; S may differ.
        crf: Constant rate factor, from 0 to 51; higher means lower quality.

    Raises:
        EngineError: PyAV was built without libx264.
    """
    if not images_rgb:
        return []
    side = max(_MIN_CODED_SIDE, *map(len, images_rgb))
    side += side % 2
    coded = _through_x264([_padded(image, side) for image in images_rgb], crf)
    return [
        np.ascontiguousarray(frame[: len(image), : len(image)])
        for image, frame in zip(images_rgb, coded, strict=True)
    ]


def _as_jpeg(image_rgb: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image_rgb).save(buffer, "jpeg", quality=quality, subsampling="4:2:0")
    with Image.open(buffer, formats=("jpeg",)) as image:
        return np.array(image)


def _padded(image_rgb: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    missing = side - len(image_rgb)
    return np.pad(image_rgb, ((0, missing), (0, missing), (0, 0)), mode="edge")


def _through_x264(images_rgb: Images, crf: int) -> Images:
    """Encode and decode square images of one even size in memory."""
    import av

    try:
        encoder: Any = av.CodecContext.create("libx264", "w")
    except av.codec.codec.UnknownCodecError as error:
        raise EngineError(
            "the degradation h264 needs PyAV with libx264, which its wheels on PyPI include. "
            f"Install av from PyPI, or omit --degrade h264. Received: {error}"
        ) from error
    decoder: Any = av.CodecContext.create("h264", "r")
    encoder.width = encoder.height = len(images_rgb[0])
    encoder.pix_fmt, encoder.framerate = "yuv420p", 25
    # x264's macroblock tree with B-frames reads uninitialised memory, so that equal frames would
    # give different bits from call to call.
    encoder.options = {"crf": str(crf), "preset": "veryfast", "x264-params": "mbtree=0"}
    # One thread: clips are already processed in parallel, and the number of threads changes the
    # output of x264.
    encoder.thread_count = decoder.thread_count = 1
    packets = []
    for position, image in enumerate(images_rgb):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = position
        packets += encoder.encode(frame)
    frames = []
    for packet in [*packets, *encoder.encode(None), None]:
        frames += decoder.decode(packet)
    return [np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8) for frame in frames]


def _random_blur(images: Images, generator: np.random.Generator) -> Images:
    return blur(images, generator.uniform(*BLUR_SIGMA))


def _random_jpeg(images: Images, generator: np.random.Generator) -> Images:
    return jpeg(images, int(generator.integers(*JPEG_QUALITY, endpoint=True)))


def _random_h264(images: Images, generator: np.random.Generator) -> Images:
    return h264(images, int(generator.integers(*H264_CRF, endpoint=True)))


_DEGRADATIONS: dict[str, Callable[[Images, np.random.Generator], Images]] = {
    "blur": _random_blur,
    "jpeg": _random_jpeg,
    "h264": _random_h264,
}
