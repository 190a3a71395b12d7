"""Decode mutated videos: each must get a status, and none may lose frames silently.

python benchmarks/mutations.py [CLIPS]

Makes a short clip in each of eight containers and codecs, and mutates it with a fixed seed: flipped
bits, random bytes, truncated ends, and removed, repeated or zeroed ranges. Every mutant is decoded
as in `deepseq extract`, in isolated processes. A mutant is silently short if its status is `ok` or
`too_few_frames` although more than 5 % of its frames plus a quarter of a second are missing and its
container states the full duration. Fails if there is one.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from deepfake_seq.config import LimitsConfig, SamplingConfig
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.video.decoder_pool import Decoders
from deepfake_seq.store import STATUSES

CLIPS = 1000
FRAMES = 60
RATE = 25
KINDS = {
    "h264.mp4": "libx264",
    "h264.mkv": "libx264",
    "h264.ts": "libx264",
    "h264.flv": "libx264",
    "mpeg4.avi": "mpeg4",
    "mpeg2.mpg": "mpeg2video",
    "vp9.webm": "libvpx-vp9",
    "mjpeg.mov": "mjpeg",
}
NO_DURATION = (".ts", ".mpg")
"""Suffixes of containers without a duration; a truncated end cannot be detected in them."""


def write_clip(path: Path, codec: str) -> None:
    generator = np.random.default_rng(0)
    scene = generator.integers(0, 256, (96, 160, 3), dtype=np.uint8)
    # Reproducible bytes: no random identifiers, and one thread.
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.thread_count = 1
        stream.width, stream.height = 96, 72
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.time_base = Fraction(1, RATE)
        for number in range(FRAMES):
            image = np.ascontiguousarray(
                scene[number % 24 : number % 24 + 72, number : number + 96]
            )
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode(None))


def mutate(data: bytes, generator: random.Random) -> bytes:
    content = bytearray(data)
    for _ in range(generator.choice([1, 1, 2, 5])):
        start = generator.randrange(len(content))
        length = generator.randint(1, max(len(content) // 10, 1))
        kind = generator.randrange(6)
        if kind == 0:
            content[start] ^= 1 << generator.randrange(8)
        elif kind == 1:
            content[start : start + length] = generator.randbytes(length)
        elif kind == 2:
            del content[max(start, 1) :]
        elif kind == 3:
            del content[start : start + length]
        elif kind == 4:
            content[start:start] = content[start : start + length]
        else:
            content[start : start + length] = bytes(length)
        if not content:
            return b"\0"
    return bytes(content)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else CLIPS
    generator = random.Random(0)
    statuses: dict[str, Counter[str]] = {name: Counter() for name in KINDS}
    silently_short: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        originals = {}
        for name, codec in KINDS.items():
            write_clip(Path(folder, name), codec)
            originals[name] = Path(folder, name).read_bytes()
        items = []
        for number in range(count):
            name = list(KINDS)[number % len(KINDS)]
            path = Path(folder, f"{number}-{name}")
            path.write_bytes(mutate(originals[name], generator))
            items.append(VideoItem(path, path.name))
        with (
            Decoders(2, SamplingConfig(), LimitsConfig()) as decoders,
            ThreadPoolExecutor(2) as threads,
        ):
            paths = [item.path for item in items]
            for item, video in zip(items, threads.map(decoders.decode, paths), strict=True):
                name = item.video_id.split("-", 1)[1]
                statuses[name][video.status] += 1
                missing = FRAMES - video.facts.get("frames_total", 0)
                is_silent = video.status in ("ok", "too_few_frames")
                is_short = missing > 0.05 * FRAMES + 0.25 * RATE
                if is_silent and is_short and not name.endswith(NO_DURATION):
                    silently_short.append(f"{item.video_id}: {missing} of {FRAMES} frames missing")
    for name, counts in statuses.items():
        print(f"{name:12} {', '.join(f'{n} {status}' for status, n in counts.most_common())}")
    total = sum(counts.total() for counts in statuses.values())
    all_known = all(status in STATUSES for counts in statuses.values() for status in counts)
    print(f"{total} of {count} mutants have a status; {len(silently_short)} silently short")
    for line in silently_short:
        print(line)
    sys.exit(total != count or not all_known or bool(silently_short))


if __name__ == "__main__":
    main()
