"""Compare image formats for the face cache: size, and time to write and read.

python benchmarks/faces.py features/faces

The images are the crops of a face cache. Video codecs need frames of one size, so crops of a clip
are padded to the largest by repeating their border. The baseline is uncompressed pixels.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from deepfake_seq import console
from deepfake_seq.extract.faces import image_codec
from deepfake_seq.store import FaceStore

Images = list[npt.NDArray[np.uint8]]
Encode = Callable[[Images], list[bytes]]
Decode = Callable[[Sequence[bytes]], Images]


def with_pillow(image_format: str, **options: object) -> tuple[Encode, Decode]:
    """Return functions that encode and decode each image separately, as the face cache does."""

    def one(image: npt.NDArray[np.uint8]) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, image_format, **options)
        return buffer.getvalue()

    return lambda images: list(map(one, images)), image_codec.decode


def as_video(encoder: str, pixels: str, **options: str) -> tuple[Encode, Decode]:
    """Return functions that encode and decode the images of a clip as one video."""

    def encode(images: Images) -> list[bytes]:
        side = max(map(len, images))
        side += side % 2
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="matroska") as container:
            stream = container.add_stream(encoder, rate=1, options=options)
            stream.width = stream.height = side
            stream.pix_fmt = pixels
            for image in images:
                edge = side - len(image)
                padded = cv2.copyMakeBorder(image, 0, edge, 0, edge, cv2.BORDER_REPLICATE)
                frame = av.VideoFrame.from_ndarray(np.asarray(padded), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return [buffer.getvalue()]

    def decode(files: Sequence[bytes]) -> Images:
        with av.open(io.BytesIO(files[0])) as container:
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]

    return encode, decode


FORMATS = {
    "uncompressed": (lambda images: [image.tobytes() for image in images], None),
    "PNG, level 1": with_pillow("png", compress_level=1),
    "PNG, level 6": with_pillow("png", compress_level=6),
    "WebP, lossless, method 0 (the default)": with_pillow(
        "webp", lossless=True, quality=0, method=0
    ),
    "WebP, lossless, method 2": with_pillow("webp", lossless=True, quality=20, method=2),
    "WebP, lossless, method 4": with_pillow("webp", lossless=True, quality=80, method=4),
    "FFV1": as_video("ffv1", "bgr0"),
    "H.264, lossless RGB": as_video("libx264rgb", "rgb24", qp="0", preset="veryfast"),
    "JPEG 95, 4:4:4": with_pillow("jpeg", quality=95, subsampling=0),
    "JPEG 90, 4:2:0": with_pillow("jpeg", quality=90),
    "WebP 90": with_pillow("webp", quality=90, method=2),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    with FaceStore.open(parser.parse_args().store) as store:
        clips = [image_codec.decode(record.encoded) for record in store if not record.failed]
    count = sum(map(len, clips))
    uncompressed = sum(image.nbytes for clip in clips for image in clip)
    sides = sorted(len(image) for clip in clips for image in clip)
    print(
        f"{len(clips)} clips, {count} crops, {sides[0]} to {sides[-1]} pixels wide, median "
        f"{sides[len(sides) // 2]}\n"
    )
    rows = [["format", "KiB/clip", "ratio", "write, ms/crop", "read, ms/crop", "max. error"]]
    for name, (encode, decode) in FORMATS.items():
        begin = time.perf_counter()
        files = [encode(clip) for clip in clips]
        write_seconds = time.perf_counter() - begin
        size = sum(len(file) for clip in files for file in clip)
        begin = time.perf_counter()
        decoded = [decode(clip) for clip in files] if decode else clips
        read_seconds = time.perf_counter() - begin
        error = max(
            int(np.abs(copy[: len(image), : len(image)].astype(int) - image).max())
            for clip, copies in zip(clips, decoded, strict=True)
            for image, copy in zip(clip, copies, strict=True)
        )
        rows.append(
            [
                name,
                f"{size / len(clips) / 1024:,.0f}",
                f"{size / uncompressed:.2f}",
                f"{1000 * write_seconds / count:.2f}",
                f"{1000 * read_seconds / count:.2f}" if decode else "",
                str(error),
            ]
        )
    print(console.table(rows))


if __name__ == "__main__":
    main()
