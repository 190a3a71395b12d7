"""What is known of a clip beside its features."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from deepfake_seq.sequence.data.views import View, person_in
from deepfake_seq.store import Record


def clip_key(video_id: str, sha256: str) -> str:
    """What tells a clip from others: its content or, where that is not known, its name.

    Of a video with a record for each person (`VIDEO#0`, `VIDEO#1` …), the person belongs to it. A
    view has the key of its clip.
    """
    return f"{sha256}{person_in(video_id)}" if sha256 else video_id


@dataclass(frozen=True, eq=False)
class Clip:
    """What is known of a clip beside its features.

    Attributes:
        video_id: Of the store.
        label: 1 = fake, 0 = real.
        groups: Identities and source videos in it.
        part: The part that the data set assigns, or "".
        sha256: Of the video file's content, in hex, or "".
        size_bytes: Of the video file.
        face_pixels: The mean side of the face's box, in pixels of the frame.
        facts: What else the store knows: `method`, `dataset`, `width`, `height`, `fps`,
            `duration_seconds`, `codec` …
        views: What is made from it, to train on where it is trained on.
    """

    video_id: str
    label: int
    groups: tuple[str, ...] = ()
    part: str = ""
    sha256: str = ""
    size_bytes: int = 0
    face_pixels: float = 0.0
    facts: dict[str, object] = field(default_factory=dict)
    views: tuple[View, ...] = ()

    @classmethod
    def of(cls, record: Record) -> Clip:
        """What a record says; it has a valid frame."""
        sides = np.diff(record.boxes_xyxy[record.mask].reshape(-1, 2, 2), axis=1)
        return cls(
            record.video_id,
            record.label,
            record.groups,
            record.split,
            record.source.sha256,
            record.source.size_bytes,
            float(np.sqrt(np.abs(sides.prod(axis=2))).mean()),
            record.facts,
        )

    @property
    def key(self) -> str:
        """What tells it from others; see `clip_key`."""
        return clip_key(self.video_id, self.sha256)

    @property
    def method(self) -> str:
        """How the fake was made, or ""."""
        return str(self.facts.get("method", ""))

    @property
    def dataset(self) -> str:
        """The data set that it is from, or ""."""
        return str(self.facts.get("dataset", ""))
