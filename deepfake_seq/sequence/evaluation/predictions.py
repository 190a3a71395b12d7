"""What a run said of each clip that it was judged on: `predictions.csv`."""

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
    """Read what `write` wrote.

    Raises:
        RunError: The file cannot be read, or says something that cannot be; the message names the
            line.
    """
    rows = decode_rows(path, _Row, COLUMNS, MAX_BYTES)
    name, times = next(iter(Counter(row.video_id for row in rows).most_common(1)), ("", 0))
    if times > 1:
        raise damaged(path, f"{name!r} is there twice")
    return Predictions(
        tuple(row.video_id for row in rows),
        tuple(row.part for row in rows),
        np.array([row.label for row in rows], dtype=np.int64),
        np.array([row.score for row in rows], dtype=np.float64),
        tuple(row.sha256 for row in rows),
        tuple(tuple(filter(None, row.groups.split(_SEPARATOR))) for row in rows),
        tuple(row.method for row in rows),
    )


class _Row(Struct):
    """A line of the file."""

    video_id: str
    part: Literal["validation", "test"]
    label: Literal[0, 1]
    score: Annotated[float, Meta(ge=0, le=1)]
    sha256: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
    groups: str
    method: str
