"""The logits of distorted clips of a run, kept so that an interrupted test is resumed."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from deepfake_seq import atomic
from deepfake_seq.untrusted import read_file

_LOG = logging.getLogger(__name__)
_MAX_BYTES = 1 << 30
_SYNC_EVERY = 50


class StressScore(Struct, frozen=True):
    """The result of one clip under one distortion.

    Attributes:
        key: Key identifying the clip.
        distortion: Name of the distortion.
        logit: Logit of the networks that did not see the clip in training; None if the distortion
            cannot be applied, for example because the face is too small already.
        face_pixels: Side of the face in the distorted clip, in pixels.
        sharpness: See `extract.faces.conditions`.
        blockiness: See `extract.faces.conditions`.
    """

    key: str
    distortion: str
    logit: float | None
    face_pixels: float = 0.0
    sharpness: float = 0.0
    blockiness: float = 0.0


class StressScores:
    """A file of `StressScore` in JSON lines, to which one process appends.

    Args:
        path: Path of the file.
        fingerprint: Identifies the model, the features and the distortions. A file with another
            fingerprint is replaced.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._path = path
        self._header = json.dumps({"format": "deepseq-stress", "fingerprint": fingerprint})
        self._scores = {(score.key, score.distortion): score for score in self._read()}

    def __contains__(self, place: tuple[str, str]) -> bool:
        return place in self._scores

    def get(self, key: str, distortion: str) -> StressScore | None:
        """Return the result of a clip under a distortion, if there is one."""
        return self._scores.get((key, distortion))

    @contextmanager
    def appending(self) -> Iterator[_Appender]:
        """Open the file for appending; all results are on the disk when the block ends."""
        lines = [self._header, *(_line(score) for score in self._scores.values())]
        # Rewritten first, so that a line cut by a crash does not remain.
        atomic.write_bytes(self._path, "".join(f"{line}\n" for line in lines).encode())
        with self._path.open("ab") as file:
            appender = _Appender(file, self._scores)
            try:
                yield appender
            finally:
                appender.sync()

    def _read(self) -> Iterator[StressScore]:
        if not os.path.lexists(self._path):
            return
        lines = read_file(self._path, _MAX_BYTES).decode("utf-8", "surrogatepass").splitlines()
        if not lines or lines[0] != self._header:
            _LOG.info("%s is of another model or version: it is replaced", self._path)
            return
        for line in lines[1:]:
            try:
                yield msgspec.convert(json.loads(line), StressScore)
            except ValueError:
                _LOG.info("%s has a damaged line, which is computed again", self._path)


class _Appender:
    """Appends results to the open file."""

    def __init__(self, file: IO[bytes], scores: dict[tuple[str, str], StressScore]) -> None:
        self._file = file
        self._scores = scores
        self._pending = 0

    def add(self, score: StressScore) -> None:
        """Append a result."""
        self._scores[score.key, score.distortion] = score
        self._file.write(f"{_line(score)}\n".encode())
        self._pending += 1
        if self._pending >= _SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        """Write all results to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._pending = 0


def _line(score: StressScore) -> str:
    return json.dumps(msgspec.to_builtins(score), allow_nan=False)
