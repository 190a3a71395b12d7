"""Compare the faces that a detector finds in clips in int8 with those in float32.

python benchmarks/detector_precisions.py CLIPS --weights FILE [--detector retinaface-mobile]

For whole frames and for detection in windows, with the default settings of `extract`. A face is the
same one if the boxes overlap by half or more (intersection over union). Printed are the faces lost
and added in int8, the intersection over union, and the mean distance of the landmarks in widths of
the face. The float32 scores of lost faces and the int8 scores of added ones show how near they are
to the least score of a face. The CPU time is that of detection alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepfake_seq.config import INT8, RETINAFACES, FaceConfig, SamplingConfig
from deepfake_seq.extract.calibration import detector_ranges_for
from deepfake_seq.extract.faces import Face, build_detector, detect_scaled
from deepfake_seq.extract.faces.windowed_detection import FIRST_SHARE, detect_in_windows
from deepfake_seq.extract.faces.windows import overlap
from deepfake_seq.extract.video.decode import decode

Images = list[npt.NDArray[np.uint8]]
Detect = Callable[[Images], list[list[Face]]]


@dataclass
class Comparison:
    """The faces of all frames so far."""

    faces: int = 0
    lost: list[float] = field(default_factory=list)
    added: list[float] = field(default_factory=list)
    overlaps: list[float] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)

    def add(self, exact: list[Face], rounded: list[Face]) -> None:
        """Compare the faces of one frame in float32 and in int8."""
        self.faces += len(exact)
        remaining = list(rounded)
        for face in exact:
            best = max(remaining, key=lambda other: overlap(face, other), default=None)
            if best is None or overlap(face, best) < 0.5:
                self.lost.append(face.score)
                continue
            remaining = [other for other in remaining if other is not best]
            self.overlaps.append(overlap(face, best))
            width = face.box_xyxy[2] - face.box_xyxy[0]
            shifts = np.linalg.norm(face.landmarks - best.landmarks, axis=1)
            self.distances.append(float(shifts.mean() / width))
        self.added += [face.score for face in remaining]

    def print(self) -> None:
        """Print the summary of all frames."""
        print(
            f"  {self.faces} faces, {len(self.lost)} lost{_rounded(self.lost)}, "
            f"{len(self.added)} added{_rounded(self.added)}"
        )
        print(
            f"  boxes: overlap {np.mean(self.overlaps):.4f} mean, {min(self.overlaps):.4f} least\n"
            f"  landmarks: distance {np.mean(self.distances):.4f} mean, "
            f"{max(self.distances):.4f} largest"
        )


def main() -> None:
    options = _options()
    ranges = detector_ranges_for(options.detector, options.weights, None)
    detectors = {
        "float32": build_detector(options.detector, options.weights),
        INT8: build_detector(options.detector, options.weights, INT8, ranges),
    }
    short_side = FaceConfig().short_side
    ways: dict[str, dict[str, Detect]] = {
        "every-frame": {
            name: partial(detect_scaled, detector, short_side=short_side)
            for name, detector in detectors.items()
        },
        "windows": {
            name: partial(
                detect_in_windows,
                detector,
                short_side=short_side,
                first_short_side=round(FIRST_SHARE * short_side),
            )
            for name, detector in detectors.items()
        },
    }
    compared = {way: Comparison() for way in ways}
    seconds = {(way, name): 0.0 for way in ways for name in detectors}
    clips = 0
    for path in sorted(path for path in options.clips.rglob("*") if path.is_file()):
        frames = decode(path, SamplingConfig()).frames
        if frames is None:
            continue
        clips += 1
        for way, precisions in ways.items():
            found = []
            for name, detect in precisions.items():
                begin = time.process_time()
                found.append(detect(frames.images_rgb))
                seconds[way, name] += time.process_time() - begin
            for exact, rounded in zip(*found, strict=True):
                compared[way].add(exact, rounded)
    print(f"{options.detector}, {clips} clips: int8 compared with float32")
    for way, comparison in compared.items():
        print(f"{way}: CPU time {seconds[way, 'float32'] / seconds[way, INT8]:.2f} x as fast")
        comparison.print()


def _rounded(scores: list[float]) -> str:
    return f" (scores {', '.join(f'{score:.3f}' for score in sorted(scores))})" if scores else ""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--detector", choices=RETINAFACES, default="retinaface-mobile")
    parser.add_argument("--weights", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
