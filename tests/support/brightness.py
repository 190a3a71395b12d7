"""A run that calls bright clips fake and dark ones real, and clips that misbehave when decoded."""

from __future__ import annotations

import os
import signal
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import Image, write_images
from mean_cnn import CONFIG, MeanCnn, features_of

from deepfake_seq.config import ExtractConfig, ModelConfig, SamplingConfig
from deepfake_seq.errors import VideoError
from deepfake_seq.explain.clip_report import ClipReport
from deepfake_seq.explain.reporter import Reporter
from deepfake_seq.extract import extractor
from deepfake_seq.extract.faces import Face
from deepfake_seq.extract.resolve import resolve
from deepfake_seq.extract.video.decode import DecodedVideo, Span
from deepfake_seq.extract.video.decoder_pool import Decoders, without_content
from deepfake_seq.sequence.evaluation.calibration import PlattScaling
from deepfake_seq.sequence.evaluation.threshold import Decision
from deepfake_seq.sequence.models.networks import LogisticNetwork
from deepfake_seq.sequence.runs import run
from deepfake_seq.sequence.runs.run import SequenceModel

WIDTH, FRAMES = 512, 8
_MARKER_BYTES = 32
DARK, MIDDLE, BRIGHT = 60, 128, 200
"""Grey levels of clips that are real, inconclusive (in the abstention band) and fake."""

_NOTES = {
    "created": "2026-01-01T00:00:00+00:00",
    "parameters": {"total": 2 * WIDTH + 1, "trainable": 2 * WIDTH + 1},
    "split": {"train": 60, "validation": 40},
    "warnings": ["Only 100 clips"],
}


def write_run(folder: Path) -> Path:
    """Write a run whose score is 0.5 for a mean grey level of 127.5."""
    folder.mkdir(parents=True)
    weights = np.zeros(2 * WIDTH, dtype=np.float32)
    weights[:WIDTH] = 20 / 255 / WIDTH
    config = ExtractConfig(SamplingConfig(frames=FRAMES), CONFIG.faces, CONFIG.backbone)
    model = SequenceModel(
        ModelConfig("logistic"),
        (LogisticNetwork("features", weights, np.full(1, -10, np.float32)),),
        (FRAMES, WIDTH),
        PlattScaling(),
        Decision(0.5, (0.4, 0.6), "fpr", 0.05, 0.0, {"real": 20, "fake": 20}, True, {"fpr": 0.5}),
        "grey clips",
        config,
        resolve(config).fingerprint,
    )
    run.save(folder, model, _NOTES)
    (folder / run.METRICS).write_text('{"validation": null, "test": null}')
    return folder


def write_grey(path: Path, level: int, marker: str = "", frames: int = 50) -> Path:
    """Write a clip of one grey level, 128×96 pixels, 2 s at 25 frames per second.

    Args:
        path: Path of the file.
        level: Grey level.
        marker: How it behaves when decoded; see `reporter`.
        frames: Number of frames.
    """
    return _write(path, np.full((96, 128, 3), level, dtype=np.uint8), marker, frames)


def write_two_people(path: Path, marker: str = "") -> Path:
    """Write a clip with a person on the left who is real, and one on the right who is fake.

    Args:
        path: Path of the file.
        marker: How it behaves when decoded; see `reporter`.
    """
    image: Image = np.full((96, 256, 3), DARK, dtype=np.uint8)
    image[:, 128:] = BRIGHT
    image[:8, :8] = 255  # seen by `_Halves`
    return _write(path, image, marker, 50)


def _write(path: Path, image: Image, marker: str, frames: int) -> Path:
    write_images(path, [image] * frames)
    if marker:  # in a box that readers of MP4 files skip
        content = marker.encode().rjust(_MARKER_BYTES)
        with path.open("ab") as file:
            file.write(struct.pack(">I4s", 8 + len(content), b"free") + content)
    return path


def reporter(*arguments: Any, **options: Any) -> Reporter:
    """Make a reporter whose CNN costs nothing, and that obeys the markers of clips.

    It changes this process, which must be a worker. Markers: `kill` kills this process; `kill once`
    waits the first time, until this process is killed; `wait` takes a minute; `second` takes a
    second; `hold` waits until there is a file beside the clip with the suffix `.go`, and removes
    it; `kill decoder` kills the decoding process; `kill explain` kills this process when the
    verdict is known.
    """
    install(pytest.MonkeyPatch())
    on_verdict = options.pop("on_verdict")

    def kill_after_verdict(report: ClipReport) -> None:
        on_verdict(report)
        if _marker(Path(report.verdict.path)) == b"kill explain":
            os.kill(os.getpid(), signal.SIGKILL)

    return Reporter(*arguments, **options, on_verdict=kill_after_verdict)


def install(patch: pytest.MonkeyPatch) -> None:
    """Replace the CNN and the detector, and make clips misbehave; see `reporter`."""
    patch.setattr(extractor.Evidence, "build", lambda *_: features_of(MeanCnn()))
    patch.setattr(extractor, "build_detector", lambda *_: _Halves())
    patch.setattr(Decoders, "decode", _decode)


class _Halves:
    """Finds a face on each side if the upper left corner is bright, else the whole picture."""

    def detect(self, images_rgb: Any) -> list[list[Face]]:
        return [self._faces(image) for image in images_rgb]

    def _faces(self, image: Image) -> list[Face]:
        height, width = image.shape[:2]
        boxes = [[0, 0, width, height]]
        if image[:4, :4].mean() > 230:
            boxes = [[16, 16, 64, 64], [192, 16, 240, 64]]
        return [Face(np.array(box, dtype=np.float32), 1.0) for box in boxes]


def _marker(path: Path) -> bytes:
    """Return the marker of a clip; b"" if the clip has been deleted in the meantime."""
    try:
        return path.read_bytes()[-_MARKER_BYTES:].strip()
    except FileNotFoundError:
        return b""


def _wait(tried: Path) -> None:
    """Touch a file, and wait a minute; runs in a decoding process."""
    tried.touch()
    time.sleep(60)


def _wait_for(file: Path) -> None:
    """Wait until a file appears, and remove it."""
    while not file.exists():
        time.sleep(0.01)
    file.unlink()


_decode_really = Decoders.decode


def _decode(self: Decoders, path: Path, span: Span | None = None) -> DecodedVideo:
    marker = _marker(path)
    tried = path.with_suffix(".tried")
    if marker == b"kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if marker == b"second":
        time.sleep(1)
    if marker == b"hold":
        _wait_for(path.with_suffix(".go"))
    try:
        if marker == b"kill decoder":
            self.call(os.abort)
        if marker == b"wait" or (marker == b"kill once" and not tried.exists()):
            self.call(_wait, tried)
    except VideoError as error:
        return DecodedVideo.failed(error, without_content(path))
    return _decode_really(self, path, span)
