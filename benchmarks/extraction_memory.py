"""Measure the memory of the main process while it extracts many short clips.

python benchmarks/extraction_memory.py [CLIPS]

Extracts one short clip under 2,000 names, as `deepseq extract` does, with `--detector none` and a
placeholder for the CNN. Prints the maximum resident memory in each quarter of the clips and the
ratio of the last quarter to the first, the baseline. Fails if the ratio is above 1.1.
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
from deepfake_seq.extract.backbones.outputs import Inputs
from deepfake_seq.extract.backbones.table import backbone_of
from deepfake_seq.extract.evidence import Evidence
from deepfake_seq.extract.extractor import Extractor
from deepfake_seq.extract.faces import build_detector
from deepfake_seq.extract.records.from_videos import VideoCropSource
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.extract.video.decoder_pool import Decoders

CLIPS = 2000
CONFIG = ExtractConfig(faces=FaceConfig("none"), backbone=BackboneConfig(weights="untrained"))


class MeanCnn:
    """A placeholder for a CNN: each feature is the mean grey level of the crop."""

    batch = 16
    cells: tuple[int, int] | None = None

    def rows(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """See `BlockRuntime.rows`."""
        return self.features(inputs["crops_rgb"])

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


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else CLIPS
    peaks = [0, 0, 0, 0]
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
        evidence = Evidence(["features"], backbone_of("inception_v3", None), MeanCnn())
        source = VideoCropSource(resolve(CONFIG), detector, evidence, decoders)
        with Extractor(source, evidence) as extractor:
            for number, (item, (record,)) in enumerate(extractor.records(items)):
                if record.status != "ok":
                    raise SystemExit(f"{item.path}: {record.status}: {record.reason}")
                if number % 50 == 0:
                    gc.collect()
                quarter = 4 * number // count
                peaks[quarter] = max(peaks[quarter], resident_bytes())
    megabytes = ", ".join(f"{peak / 1e6:.0f} MB" for peak in peaks)
    print(f"maximum memory in each quarter of {count} clips: {megabytes}")
    print(f"last quarter: {peaks[3] / peaks[0]:.3f} x the first")
    sys.exit(peaks[3] > 1.1 * peaks[0])


if __name__ == "__main__":
    main()
