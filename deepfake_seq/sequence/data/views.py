"""Views: records derived from a clip, either augmented copies or self-blended fakes.

Views are used only in training, together with their clip. A record that is named or marked as a
view is never loaded as a clip, whatever else the store says about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deepfake_seq.config import VIEW_KINDS
from deepfake_seq.store.record_ids import VIEW_FACT, is_view_id

BLEND = "blend"
"""Kind of a pseudo-fake: a fake made by blending a real clip with itself."""

DAMAGED, WITHOUT_CLIP, UNUSABLE = "damaged views", "views without their clip", "unusable views"
"""Reasons for excluding views."""


@dataclass(frozen=True)
class View:
    """A view of a clip.

    Attributes:
        video_id: Id of the view's record.
        label: 1 (fake) for a self-blended fake, otherwise the label of the clip.
        kind: One of `config.VIEW_KINDS`.
        number: Number among the views of the same kind, from 1.
        of: `video_id` of the clip.
        settings: Settings that the view was made with.
        row: Row of its features.
    """

    video_id: str
    label: int
    kind: str
    number: int
    of: str
    settings: object
    row: int

    @property
    def order(self) -> tuple[int, int]:
        """Sort key among the views of a clip, independent of the order on disk."""
        return VIEW_KINDS.index(self.kind), self.number


def is_view(video_id: str, facts: Mapping[str, object]) -> bool:
    """Return whether a record is a view of a clip, according to its id or its metadata."""
    return VIEW_FACT in facts or is_view_id(video_id)
