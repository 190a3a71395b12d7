"""What videos go through on their way through the net: blur, and compression once more."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq.augment.crops import Images
from deepfake_seq.errors import EngineError

CHANCE = 0.5
"""That a way is gone, where it is asked for."""

BLUR_SIGMA = (0.002, 0.01)
"""Of the image's side: 0.6 to 3 pixels of the 299 that InceptionV3 sees."""

JPEG_QUALITY = (40, 90)
"""From what messengers send to what cameras write."""

H264_CRF = (23, 35)
"""From x264's own default, and FaceForensics++'s c23, to its c40."""

_LEAST_CODED = 16  # pixels of a macroblock; x264 is not made for less


def degrade(
    images_rgb: Sequence[npt.NDArray[np.uint8]],
    ways: Collection[str],
    generator: np.random.Generator,
) -> Images:
    """Some of `ways`, each by chance and with a strength that is drawn once for all images.

    The order is that of the world, whatever the order of `ways`: `blur`, `jpeg`, `h264`.

    Args:
        images_rgb: uint8 (S, S, 3) each, in order of time; S may differ.
        ways: Of `config.DEGRADATIONS`.
        generator: What is drawn from.

    Returns:
        Images of the same sides.
    """
    images = list(images_rgb)
    for way, apply in _WAYS.items():
        if way in ways and generator.random() < CHANCE:
            images = apply(images, generator)
    return images


def blur(images_rgb: Images, sigma: float) -> Images:
    """Gaussian blur.

    Args:
        images_rgb: uint8 (S, S, 3) each.
        sigma: As a fraction of S.
    """
    import cv2

    return [
        np.asarray(cv2.GaussianBlur(image, (0, 0), sigma * len(image)), dtype=np.uint8)
        for image in images_rgb
    ]


def jpeg(images_rgb: Images, quality: int) -> Images:
    """Each image as JPEG makes it, with halved colour resolution.

    Args:
        images_rgb: uint8 (S, S, 3) each.
        quality: 1 to 95.
    """
    return [_as_jpeg(image, quality) for image in images_rgb]


def h264(images_rgb: Images, crf: int) -> Images:
    """The images as the frames of a short H.264 video.

    Smaller ones stand in the top left corner of a frame as large as the largest, whose rest repeats
    their border.

    Args:
        images_rgb: uint8 (S, S, 3) each, in order of time.
        crf: The constant rate factor, 0 to 51; higher is worse.

    Raises:
        EngineError: PyAV was built without the encoder.
    """
    if not images_rgb:
        return []
    side = max(_LEAST_CODED, *map(len, images_rgb))
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
    """Images of one even side, coded and decoded in memory."""
    import av

    try:
        encoder: Any = av.CodecContext.create("libx264", "w")
    except av.codec.codec.UnknownCodecError as error:
        raise EngineError(
            "the degradation h264 needs PyAV with libx264, which its wheels on PyPI have: install "
            f"av from there, or leave out --degrade h264. Received: {error}"
        ) from error
    decoder: Any = av.CodecContext.create("h264", "r")
    encoder.width = encoder.height = len(images_rgb[0])
    encoder.pix_fmt, encoder.framerate = "yuv420p", 25
    # x264's macroblock tree with B-frames reads memory that it has not written: with it, equal
    # frames give different bits from one call to the next.
    encoder.options = {"crf": str(crf), "preset": "veryfast", "x264-params": "mbtree=0"}
    # One thread each: clips are dealt to threads already, and x264's bits depend on their number.
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


def _blur_drawn(images: Images, generator: np.random.Generator) -> Images:
    return blur(images, generator.uniform(*BLUR_SIGMA))


def _jpeg_drawn(images: Images, generator: np.random.Generator) -> Images:
    return jpeg(images, int(generator.integers(*JPEG_QUALITY, endpoint=True)))


def _h264_drawn(images: Images, generator: np.random.Generator) -> Images:
    return h264(images, int(generator.integers(*H264_CRF, endpoint=True)))


_WAYS: dict[str, Callable[[Images, np.random.Generator], Images]] = {
    "blur": _blur_drawn,
    "jpeg": _jpeg_drawn,
    "h264": _h264_drawn,
}
