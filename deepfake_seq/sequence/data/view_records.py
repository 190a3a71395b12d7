"""Views as a store has them, and the clips that they belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec

from deepfake_seq.config import VIEW_KINDS
from deepfake_seq.datasets import FAKE
from deepfake_seq.sequence.data.clip import Clip
from deepfake_seq.sequence.data.views import FACT, WITHOUT_CLIP, View
from deepfake_seq.store import Record


class _Fact(msgspec.Struct):
    """What a view says of itself."""

    kind: str
    number: Annotated[int, msgspec.Meta(ge=1)]
    of: str
    settings: Any = None


@dataclass(frozen=True, eq=False)
class ViewRecord:
    """A view, and what it says of the clip that it is made from.

    Attributes:
        view: The view.
        sha256: Of the clip's file, in hex, or "".
        groups: The clip's.
        part: The clip's.
    """

    view: View
    sha256: str
    groups: frozenset[str]
    part: str

    @classmethod
    def read(cls, record: Record, row: int) -> ViewRecord:
        """What a record that is a view says.

        Raises:
            ValueError: That is not what such a record says.
        """
        made = msgspec.convert(record.facts.get(FACT), _Fact)
        if made.kind not in VIEW_KINDS or record.video_id != f"{made.of}@{made.kind}{made.number}":
            raise ValueError(f"{record.video_id!r} is not what this view is called: {made}")
        view = View(record.video_id, record.label, **msgspec.structs.asdict(made), row=row)
        return cls(view, record.source.sha256, frozenset(record.groups), record.split)

    def fits(self, clip: Clip) -> bool:
        """Whether the clip is what this is made from, as it is now."""
        label = FAKE if self.view.kind == "blend" else clip.label
        return (
            self.view.of == clip.video_id
            and self.sha256 == clip.sha256
            and self.view.label == label
            and self.groups <= set(clip.groups)
            and self.part == clip.part
        )


def attached(
    clips: Sequence[Clip], claims: Iterable[ViewRecord], excluded: Counter[str]
) -> tuple[Clip, ...]:
    """The clips with the views that are made from them.

    A view goes with the clip of its name, if that is still the same file, of the same people, in
    the same part and with the label that the view goes by. All others are left out and counted.

    Args:
        clips: Without views.
        claims: The views of the store.
        excluded: Where to count.
    """
    by_name = {clip.video_id: clip for clip in clips}
    found: dict[str, list[View]] = {}
    for claim in claims:
        clip = by_name.get(claim.view.of)
        if clip is None or not claim.fits(clip):
            excluded[WITHOUT_CLIP] += 1
        else:
            found.setdefault(clip.video_id, []).append(claim.view)
    return tuple(
        replace(clip, views=tuple(sorted(found[clip.video_id], key=lambda view: view.place)))
        if clip.video_id in found
        else clip
        for clip in clips
    )
