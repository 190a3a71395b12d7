"""Records that are made from a clip: augmented views of it and self-blended fakes.

They serve for training, beside their clip, and for nothing else. What is named or marked as one is
never taken for a clip, whoever made the store.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from deepfake_seq.config import VIEW_KINDS
from deepfake_seq.datasets import FAKE
from deepfake_seq.store import Record

if TYPE_CHECKING:
    from deepfake_seq.sequence.data.clip import Clip

FACT = "view"
"""The fact that marks a record as a view."""

DAMAGED, WITHOUT_CLIP, UNUSABLE = "damaged views", "views without their clip", "unusable views"
"""Why views are left out."""

_ENDING = rf"@(?:{'|'.join(VIEW_KINDS)})\d+"
_NAME = re.compile(rf"{_ENDING}(?:#\d+)?$")
_PERSON = re.compile(rf"(#\d+)(?:{_ENDING})?$")


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
    return FACT in facts or _NAME.search(video_id) is not None


def clip_of(video_id: str) -> str:
    """Return the id of the clip that a view is made from, by its name, or the id of a clip itself.

    >>> clip_of("a.mp4#0@view1")
    'a.mp4#0'
    """
    return _NAME.sub("", video_id)


def person_in(video_id: str) -> str:
    """`#0`, `#1` … where a record, or what a view is made from, is one of several people; or ""."""
    person = _PERSON.search(video_id)
    return person[1] if person else ""


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
