"""Views: records derived from a clip, either augmented copies or self-blended fakes.

Views are used only in training, together with their clip. A record that is named or marked as a
view is never loaded as a clip, whatever else the store says about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from deepfake_seq.config import VIEW_KINDS
from deepfake_seq.store.record_ids import VIEW_FACT, is_view_id
from deepfake_seq.store.records.record import MASK_SHARES_FACT

BLEND = "blend"
"""Kind of a pseudo-fake: a fake made by blending a real clip with itself."""

DAMAGED, WITHOUT_CLIP, UNUSABLE = "damaged views", "views without their clip", "unusable views"
"""Reasons for excluding views."""

_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

MaskShares = tuple[_Share, _Share, _Share, _Share, _Share, _Share]
"""Share of each face region that was replaced, in the order of `face_regions.REGIONS`."""

NOTHING_REPLACED: MaskShares = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
"""The shares of a real clip."""


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
        mask_shares: Share of each face region that was replaced; None if unknown, or as in the
            clip.
    """

    video_id: str
    label: int
    kind: str
    number: int
    of: str
    settings: object
    row: int
    mask_shares: MaskShares | None = None

    @property
    def order(self) -> tuple[int, int]:
        """Sort key among the views of a clip, independent of the order on disk."""
        return VIEW_KINDS.index(self.kind), self.number


def mask_shares_of(facts: Mapping[str, object]) -> MaskShares | None:
    """Return the replaced shares in the metadata of a record; None if there are none.

    Raises:
        ValueError: The fact is not six numbers from 0 to 1.
    """
    if MASK_SHARES_FACT not in facts:
        return None
    shares: MaskShares = msgspec.convert(facts[MASK_SHARES_FACT], MaskShares)
    return shares


def is_view(video_id: str, facts: Mapping[str, object]) -> bool:
    """Return whether a record is a view of a clip, according to its id or its metadata."""
    return VIEW_FACT in facts or is_view_id(video_id)
