"""Small clips, written by the tests; every frame shows its number as two grey levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

MAX_FRAMES = 256
_STEP = 16  # grey levels between two digits: more than any codec here changes


@dataclass(frozen=True)
class ClipStyle:
    """The encoding of a clip.

    Attributes:
        codec: Name of the encoder.
        pixel_format: Pixel format of the encoder.
        size: Width and height in pixels.
        rate: Frames per second.
        options: Options of the encoder.
        ticks: Presentation times in ticks of 1/1000 s, for variable frame rate.
        rotation: Display rotation in degrees counterclockwise.
        container: Options of the container.
        aspect: Width of a pixel, divided by its height.
        colours: FFmpeg's numbers of the primaries, transfer and matrix; images are uint16 then, in
            this transfer function.
    """

    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    size: tuple[int, int] = (64, 48)
    rate: Fraction = Fraction(25)
    options: Mapping[str, str] = field(default_factory=dict)
    ticks: Sequence[int] | None = None
    rotation: int = 0
    container: Mapping[str, str] = field(default_factory=dict)
    aspect: Fraction = Fraction(1)
    colours: tuple[int, int, int] | None = None


B_FRAMES = {"x264-params": "bframes=3:b-adapt=0:keyint=12:scenecut=0"}

STYLES = {
    "h264.mp4": ClipStyle(options=B_FRAMES),
    "h264.mkv": ClipStyle(options=B_FRAMES),
    "h264.ts": ClipStyle(options=B_FRAMES),
    "h264-ntsc.mp4": ClipStyle(rate=Fraction(30000, 1001)),
    "vp9.webm": ClipStyle("libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"}),
    "mpeg4.avi": ClipStyle("mpeg4", options={"b": "2000000"}),
    "mpeg2.mpg": ClipStyle("mpeg2video", options={"b": "2000000", "bf": "2"}),
    "mjpeg.avi": ClipStyle("mjpeg", "yuvj420p"),
    "vfr.mp4": ClipStyle(ticks=[n * 40 + (n % 3) * 9 + (n // 10) * 500 for n in range(60)]),
    "frozen.mkv": ClipStyle(ticks=[n * 10 if n < 30 else 60_000 + n * 10 for n in range(60)]),
    "odd.mp4": ClipStyle(pixel_format="yuv444p", size=(67, 51)),
}
"""Encodings that the tests iterate over, by file name."""


def numbered(number: int, size: tuple[int, int] = (64, 48)) -> Image:
    """Return an RGB image whose halves show the two digits (base 16) of `number`."""
    width, height = size
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[:, : width // 2] = number % _STEP * _STEP + _STEP // 2
    image[:, width // 2 :] = number // _STEP * _STEP + _STEP // 2
    return image


def number_in(image_rgb: Image) -> int:
    """Return the number that an image made by `numbered` shows, even after lossy encoding."""
    third = image_rgb.shape[1] // 3
    low = int(np.median(image_rgb[:, :third])) // _STEP
    high = int(np.median(image_rgb[:, -third:])) // _STEP
    return high * _STEP + low


def write_images(path: Path, images_rgb: Sequence[Any], style: ClipStyle | None = None) -> Path:
    """Encode images to a clip; the suffix of the file selects the container."""
    return write_streams(path, [(images_rgb, style or ClipStyle())])


def write_noise(folder: Path, clips: int) -> Path:
    """Write clips of noise into `folder`, every second one fake and brighter; return `folder`."""
    for number in range(clips):
        generator = np.random.default_rng(number)
        shade = 60 + 100 * (number % 2)
        images = [
            np.asarray(generator.integers(shade, shade + 60, (64, 64, 3)), dtype=np.uint8)
            for _ in range(10)
        ]
        path = folder / ("real", "fake")[number % 2] / f"{number}.mp4"
        path.parent.mkdir(exist_ok=True)
        write_images(path, images)
    return folder


def write_streams(path: Path, streams: Sequence[tuple[Sequence[Any], ClipStyle]]) -> Path:
    """Encode images to a file with several video streams."""
    file = f"file:{path.absolute()}"  # so that no name is read as a URL
    options = dict(streams[0][1].container)
    with av.open(file, "w", format=_muxer(path), options=options) as container:
        added = [_add_stream(container, images[0], style) for images, style in streams]
        for stream, (images, style) in zip(added, streams, strict=True):
            for position, image in enumerate(images):
                frame = _frame(image, style)
                if style.ticks is not None:
                    frame.pts, frame.time_base = style.ticks[position], Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def _add_stream(container: Any, image_rgb: Any, style: ClipStyle) -> Any:
    stream: Any = container.add_stream(style.codec, rate=style.rate, options=style.options)
    height, width = image_rgb.shape[:2]
    stream.width, stream.height, stream.pix_fmt = width, height, style.pixel_format
    if style.aspect != 1:
        stream.codec_context.sample_aspect_ratio = style.aspect
    if style.ticks is not None:
        stream.codec_context.time_base = Fraction(1, 1000)
    if style.rotation:
        stream.set_display_rotation(style.rotation)
    if style.colours is not None:
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = style.colours
        context.color_range = 1  # limited
    return stream


def _frame(image_rgb: Any, style: ClipStyle) -> Any:
    if style.colours is None:
        return av.VideoFrame.from_ndarray(image_rgb, format="rgb24")
    frame = av.VideoFrame.from_ndarray(image_rgb, format="rgb48le")
    return frame.reformat(
        format=style.pixel_format, dst_colorspace=style.colours[2], dst_color_range=1
    )


def write_clip(path: Path, frames: int = 60, style: ClipStyle | None = None) -> Path:
    """Write a clip of numbered frames."""
    style = style or ClipStyle()
    return write_images(path, [numbered(number, style.size) for number in range(frames)], style)


def write_sound(path: Path, seconds: float = 0.5) -> Path:
    """Write a file with sound only."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        samples = np.zeros((1, int(8000 * seconds)), dtype=np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_all(path: Path) -> tuple[npt.NDArray[np.float64], list[Image]]:
    """Decode all frames up to the first error; return times in seconds and unrotated RGB images.

    One thread decodes: several conceal damage with pixels that depend on their timing.
    """
    times, images = [], []
    with av.open(f"file:{path.absolute()}") as container, suppress(av.FFmpegError):
        container.streams.video[0].codec_context.thread_count = 1
        for frame in container.decode(video=0):
            times.append(frame.time)
            images.append(frame.to_ndarray(format="rgb24"))
    return np.array(times), images


def cut_tail(path: Path, target: Path, share: float = 0.6) -> Path:
    """Write the first `share` (0 to 1) of a file to `target`."""
    data = path.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def corrupt(path: Path, target: Path, start: float, step: int) -> Path:
    """Invert every `step`-th byte of a file, beginning at the fraction `start`."""
    data = bytearray(path.read_bytes())
    for position in range(int(len(data) * start), len(data), step):
        data[position] ^= 0xFF
    target.write_bytes(data)
    return target


def _muxer(path: Path) -> str:
    # By suffix, because FFmpeg's own guess fails for names that look like protocols.
    names = {".mkv": "matroska", ".ts": "mpegts", ".mpg": "mpeg"}
    return names.get(path.suffix, path.suffix.lstrip("."))
