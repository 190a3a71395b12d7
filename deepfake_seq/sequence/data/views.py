"""Records that are made from a clip: augmented views of it and self-blended fakes.

They serve for training, beside their clip, and for nothing else. What is named or marked as one is
never taken for a clip, whoever made the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deepfake_seq.config import VIEW_KINDS
from deepfake_seq.store.record_ids import VIEW_FACT, clip_id_of, is_view_id, person_of

FACT = VIEW_FACT
"""The fact that marks a record as a view."""

DAMAGED, WITHOUT_CLIP, UNUSABLE = "damaged views", "views without their clip", "unusable views"
"""Why views are left out."""


@dataclass(frozen=True)
class View:
    """A record that is trained on where its clip is.

    Attributes:
        video_id: Of the record.
        label: The clip's own or, of a self-blended fake, 1 (fake).
        kind: One of `config.VIEW_KINDS`.
        number: Which of its kind, from 1.
        of: The `video_id` of the clip.
        settings: How it was made.
        row: Of its features.
    """

    video_id: str
    label: int
    kind: str
    number: int
    of: str
    settings: object
    row: int

    @property
    def place(self) -> tuple[int, int]:
        """Its place among the views of its clip, wherever it lies on the disk."""
        return VIEW_KINDS.index(self.kind), self.number


def is_view(video_id: str, facts: Mapping[str, object]) -> bool:
    """Whether a record is made from a clip, by its name or by what it says of itself."""
    return FACT in facts or is_view_id(video_id)


def clip_of(video_id: str) -> str:
    """Return the id of the clip that a view is made from, by its name, or the id of a clip itself.

    >>> clip_of("a.mp4#0@view1")
    'a.mp4#0'
    """
    return clip_id_of(video_id)


def person_in(video_id: str) -> str:
    """`#0`, `#1` … where a record, or what a view is made from, is one of several people; or ""."""
    return person_of(video_id)
