"""The parent's memory over many short clips: as much in the last quarter as in the first.

python benchmarks/extraction_memory.py [CLIPS]

Extracts the same short clip under 2,000 names, as `deepseq extract` does, with the whole frame for
a face and a CNN that only pretends. Prints the most memory that this process held in each quarter.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from deepfake_seq.config import (
    BackboneConfig,
    ExtractConfig,
    FaceConfig,
    LimitsConfig,
    SamplingConfig,
)
from deepfake_seq.datasets import VideoItem
from deepfake_seq.extract.extractor import Extractor
from deepfake_seq.extract.faces import build_detector
from deepfake_seq.extract.records.from_videos import VideoCropSource
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.extract.video.decoder_pool import Decoders

CLIPS = 2000
CONFIG = ExtractConfig(faces=FaceConfig("none"), backbone=BackboneConfig(weights="untrained"))


class MeanCnn:
    """Each feature is the crop's mean grey level."""

    batch = 16

    def features(self, crops_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `CnnRuntime.features`."""
        return np.repeat(crops_rgb.mean(axis=(1, 2, 3), dtype=np.float32)[:, None], 2048, axis=1)


def write_clip(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(20):
            image = np.full((240, 320, 3), 10 * number, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode(None))


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else CLIPS
    most = [0, 0, 0, 0]
    with tempfile.TemporaryDirectory() as folder:
        original = Path(folder, "clip.mp4")
        write_clip(original)
        items = []
        for number in range(count):
            path = Path(folder, f"{number}.mp4")
            path.hardlink_to(original)
            items.append(VideoItem(path, path.name))
        decoders = Decoders(2, SamplingConfig(), LimitsConfig())
        detector = build_detector("none", None)
        source = VideoCropSource(resolve(CONFIG), detector, decoders)
        with Extractor(source, MeanCnn()) as extractor:
            for number, (item, (record,)) in enumerate(extractor.records(items)):
                if record.status != "ok":
                    raise SystemExit(f"{item.path}: {record.status}: {record.reason}")
                if number % 50 == 0:
                    gc.collect()
                quarter = 4 * number // count
                most[quarter] = max(most[quarter], resident())
    print(
        f"most memory by quarter of {count} clips: " + ", ".join(f"{m / 1e6:.0f} MB" for m in most)
    )
    print(f"last quarter: {most[3] / most[0]:.3f} of the first")
    sys.exit(most[3] > 1.1 * most[0])


if __name__ == "__main__":
    main()
