"""The score of each evaluated clip of a run: `predictions.csv`."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from deepfake_seq import atomic
from deepfake_seq.sequence.data.dataset import Clip, clip_key
from deepfake_seq.sequence.evaluation.metrics import Labels, Scores
from deepfake_seq.untrusted import damaged, decode_rows

NAME = "predictions.csv"
COLUMNS = ("video_id", "part", "label", "score", "sha256", "groups", "method")
MAX_BYTES = 1 << 28

_SEPARATOR = ";"


@dataclass(frozen=True, eq=False)
class Predictions:
    """The labels and scores of N evaluated clips, in columns.

    Attributes:
        video_ids: Name of each clip.
        splits: Split of each clip: `validation`, `test` or `unseen`.
        labels: (N,); 1 = fake, 0 = real.
        scores: (N,); calibrated probabilities of fake.
        sha256s: SHA-256 of each video file, in hex, or "" if unknown.
        groups: Identities and source videos in each clip.
        methods: Manipulation method of each fake, or "".
    """

    video_ids: tuple[str, ...]
    splits: tuple[str, ...]
    labels: Labels
    scores: Scores
    sha256s: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    methods: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.video_ids)

    @classmethod
    def of(cls, split_name: str, clips: Sequence[Clip], scores: Scores) -> Predictions:
        """Make the predictions of one split from its clips and their scores, (N,)."""
        return cls(
            tuple(clip.video_id for clip in clips),
            (split_name,) * len(clips),
            np.array([clip.label for clip in clips], dtype=np.int64),
            scores,
            tuple(clip.sha256 for clip in clips),
            tuple(clip.groups for clip in clips),
            tuple(clip.method for clip in clips),
        )

    @property
    def keys(self) -> list[str]:
        """Key identifying each clip; see `clip_key`."""
        return list(map(clip_key, self.video_ids, self.sha256s))

    def take(self, positions: npt.NDArray[np.int64]) -> Predictions:
        """Return the predictions at `positions`."""
        chosen = positions.tolist()
        return Predictions(
            tuple(self.video_ids[at] for at in chosen),
            tuple(self.splits[at] for at in chosen),
            self.labels[positions],
            self.scores[positions],
            tuple(self.sha256s[at] for at in chosen),
            tuple(self.groups[at] for at in chosen),
            tuple(self.methods[at] for at in chosen),
        )

    def of_split(self, name: str) -> Predictions:
        """Return the predictions of one split."""
        return self.take(np.flatnonzero(np.array(self.splits, dtype=object) == name))


def write(path: Path, splits: Mapping[str, tuple[Sequence[Clip], Scores]]) -> None:
    """Write the clips of each split and their scores, (N,), in one atomic step.

    Groups are separated by `;`. A group whose name contains `;` is read back as two groups; the
    same clips still share a group.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for split_name, (clips, scores) in splits.items():
        for clip, score in zip(clips, scores.tolist(), strict=True):
            groups = _SEPARATOR.join(clip.groups)
            row = (clip.video_id, split_name, clip.label, score, clip.sha256, groups, clip.method)
            writer.writerow(row)
    # File names need not be UTF-8.
    atomic.write_bytes(path, buffer.getvalue().encode("utf-8", "surrogatepass"))


def read(path: Path) -> Predictions:
    """Read the predictions of a run.

    Raises:
        RunError: The file cannot be read, or a row is invalid; the message names the line.
    """
    rows = decode_rows(path, PredictionRow, COLUMNS, MAX_BYTES)
    name, times = next(iter(Counter(row.video_id for row in rows).most_common(1)), ("", 0))
    if times > 1:
        raise damaged(path, f"{name!r} occurs {times} times")
    return Predictions(
        tuple(row.video_id for row in rows),
        tuple(row.part for row in rows),
        np.array([row.label for row in rows], dtype=np.int64),
        np.array([row.score for row in rows], dtype=np.float64),
        tuple(row.sha256 for row in rows),
        tuple(tuple(filter(None, row.groups.split(_SEPARATOR))) for row in rows),
        tuple(row.method for row in rows),
    )


class PredictionRow(Struct):
    """A row of `predictions.csv`."""

    video_id: str
    part: Literal["validation", "test"]
    label: Literal[0, 1]
    score: Annotated[float, Meta(ge=0, le=1)]
    sha256: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
    groups: str
    method: str
