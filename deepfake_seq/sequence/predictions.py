"""What a run said of each clip that it was judged on: `predictions.csv`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepfake_seq import atomic
from deepfake_seq.datasets import FAKE, REAL
from deepfake_seq.errors import RunError
from deepfake_seq.sequence.data import Clip, clip_key
from deepfake_seq.sequence.metrics import Labels, Scores
from deepfake_seq.untrusted import read_file

NAME = "predictions.csv"
COLUMNS = ("video_id", "part", "label", "score", "sha256", "groups", "method")
MOST_BYTES = 1 << 28

_SEPARATOR = ";"
_LABELS = {str(REAL): REAL, str(FAKE): FAKE}
_DIGEST = re.compile(r"([0-9a-f]{64})?")


@dataclass(frozen=True, eq=False)
class Predictions:
    """Judged clips, in columns.

    Attributes:
        video_ids: N of them.
        parts: The part that each clip stands in: `validation`, `test` or `unseen`.
        labels: (N,); 1 = fake, 0 = real.
        scores: (N,); calibrated probabilities of fake.
        sha256s: Of the video files, in hex, or "".
        groups: Identities and source videos in each clip.
        methods: How each fake was made, or "".
    """

    video_ids: tuple[str, ...]
    parts: tuple[str, ...]
    labels: Labels
    scores: Scores
    sha256s: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    methods: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.video_ids)

    @classmethod
    def of(cls, part: str, clips: Sequence[Clip], scores: Scores) -> Predictions:
        """Those of the clips of one part."""
        return cls(
            tuple(clip.video_id for clip in clips),
            (part,) * len(clips),
            np.array([clip.label for clip in clips], dtype=np.int64),
            scores,
            tuple(clip.sha256 for clip in clips),
            tuple(clip.groups for clip in clips),
            tuple(clip.method for clip in clips),
        )

    @property
    def keys(self) -> list[str]:
        """What tells each clip from others; see `clip_key`."""
        return list(map(clip_key, self.video_ids, self.sha256s))

    def take(self, positions: npt.NDArray[np.int64]) -> Predictions:
        """The clips at `positions`."""
        chosen = positions.tolist()
        return Predictions(
            tuple(self.video_ids[at] for at in chosen),
            tuple(self.parts[at] for at in chosen),
            self.labels[positions],
            self.scores[positions],
            tuple(self.sha256s[at] for at in chosen),
            tuple(self.groups[at] for at in chosen),
            tuple(self.methods[at] for at in chosen),
        )

    def part(self, name: str) -> Predictions:
        """The clips of one part."""
        return self.take(np.flatnonzero(np.array(self.parts, dtype=object) == name))


def write(path: Path, judged: Mapping[str, tuple[Sequence[Clip], Scores]]) -> None:
    """Write the clips of each part with their scores, (N,), whole or not at all.

    Groups are separated by `;`. A group with one in its name reads as two, which ties no fewer
    clips together.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for part, (clips, scores) in judged.items():
        for clip, score in zip(clips, scores.tolist(), strict=True):
            groups = _SEPARATOR.join(clip.groups)
            row = (clip.video_id, part, clip.label, score, clip.sha256, groups, clip.method)
            writer.writerow(row)
    # Names come from file systems that know nothing of UTF-8.
    atomic.write_bytes(path, buffer.getvalue().encode("utf-8", "surrogatepass"))


def read(path: Path) -> Predictions:
    """What `write` wrote; a file that comes from anybody is refused, not believed.

    Raises:
        RunError: It is not there, a link, too large, or says something that cannot be; the message
            names the line.
    """
    rows: dict[str, list[str]] = {}
    try:
        text = read_file(path, MOST_BYTES).decode("utf-8", "surrogatepass")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader, [])
        if tuple(header) != COLUMNS:
            raise ValueError(f"the columns must be {','.join(COLUMNS)}. Received: {header}")
        for row in reader:
            _check(row)
            if rows.setdefault(row[0], row) is not row:
                raise ValueError(f"{row[0]!r} stands there twice")
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is not in UTF-8: {error}") from error
    except (ValueError, csv.Error) as error:
        raise RunError(f"{path}:{reader.line_num}: {error}") from error
    columns = [*zip(*rows.values(), strict=True)] or [()] * len(COLUMNS)
    video_ids, parts, labels, scores, sha256s, groups, methods = columns
    return Predictions(
        video_ids,
        parts,
        np.array([_LABELS[label] for label in labels], dtype=np.int64),
        np.array([float(score) for score in scores], dtype=np.float64),
        sha256s,
        tuple(tuple(filter(None, names.split(_SEPARATOR))) for names in groups),
        methods,
    )


def _check(row: list[str]) -> None:
    """Raise a ValueError that says what is wrong with a row."""
    if len(row) != len(COLUMNS):
        raise ValueError(f"{len(COLUMNS)} columns are needed. Received: {len(row)}")
    _, part, label, score, digest, _, _ = row
    if part not in ("validation", "test"):
        raise ValueError(f"the part must be validation or test. Received: {part!r}")
    if label not in _LABELS:
        raise ValueError(f"the label must be 0 (real) or 1 (fake). Received: {label!r}")
    if not 0.0 <= float(score) <= 1.0:
        raise ValueError(f"the score must be from 0 to 1. Received: {score!r}")
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"the SHA-256 must be 64 hex digits or nothing. Received: {digest!r}")
