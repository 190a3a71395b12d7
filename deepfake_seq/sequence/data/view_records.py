"""Read the views in a store and attach each to its clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec

from deepfake_seq.config import VIEW_KINDS
from deepfake_seq.datasets import FAKE
from deepfake_seq.sequence.data.clip import Clip
from deepfake_seq.sequence.data.views import WITHOUT_CLIP, View, mask_shares_of
from deepfake_seq.store import Record
from deepfake_seq.store.record_ids import VIEW_FACT, view_id


class _Fact(msgspec.Struct):
    """The fact that describes a view; see `View`."""

    kind: str
    number: Annotated[int, msgspec.Meta(ge=1)]
    of: str
    settings: Any = None


@dataclass(frozen=True, eq=False)
class ViewRecord:
    """A view as stored, with the properties of its clip at the time it was made.

    Attributes:
        view: The view.
        sha256: SHA-256 of the clip's file in hex, or "".
        groups: Groups of the clip.
        split: Split of the clip.
    """

    view: View
    sha256: str
    groups: frozenset[str]
    split: str

    @classmethod
    def read(cls, record: Record, row: int) -> ViewRecord:
        """Read the record of a view.

        Args:
            record: The record.
            row: Row of its features.

        Raises:
            ValueError: The record does not describe a view, or not the one that its name says.
        """
        fact = msgspec.convert(record.facts.get(VIEW_FACT), _Fact)
        name = view_id(fact.of, fact.kind, fact.number)
        if fact.kind not in VIEW_KINDS or record.video_id != name:
            raise ValueError(f"the name does not match {fact}. Received: {record.video_id!r}")
        shares = mask_shares_of(record.facts)
        view = View(
            record.video_id,
            record.label,
            **msgspec.structs.asdict(fact),
            row=row,
            mask_shares=shares,
        )
        return cls(view, record.source.sha256, frozenset(record.groups), record.split)

    def fits(self, clip: Clip) -> bool:
        """Return whether the view was made from `clip` and the clip has not changed since."""
        label = FAKE if self.view.kind == "blend" else clip.label
        return (
            self.view.of == clip.video_id
            and self.sha256 == clip.sha256
            and self.view.label == label
            and self.groups <= set(clip.groups)
            and self.split == clip.split
        )


def attach_views(
    clips: Sequence[Clip], view_records: Iterable[ViewRecord], excluded: Counter[str]
) -> tuple[Clip, ...]:
    """Return the clips with their views.

    A view belongs to the clip that it names if that clip still has the same file, people, split and
    label. All other views are excluded and counted.

    Args:
        clips: Clips without views.
        view_records: Views of the store.
        excluded: Counter of excluded records by reason; updated.
    """
    by_name = {clip.video_id: clip for clip in clips}
    views: dict[str, list[View]] = {}
    for record in view_records:
        clip = by_name.get(record.view.of)
        if clip is None or not record.fits(clip):
            excluded[WITHOUT_CLIP] += 1
        else:
            views.setdefault(clip.video_id, []).append(record.view)
    return tuple(
        replace(clip, views=tuple(sorted(views[clip.video_id], key=lambda view: view.order)))
        if clip.video_id in views
        else clip
        for clip in clips
    )
