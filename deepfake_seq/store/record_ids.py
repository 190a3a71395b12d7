"""Ids of the records made from a video, and names of the facts that mark them.

Grammar: `VIDEO[#PERSON][@KIND NUMBER]`, without spaces. `VIDEO` is a `video_id`, `PERSON` counts
from 0, `KIND` is one of `config.VIEW_KINDS`, and `NUMBER` counts from 1:

- `a.mp4`: the main person of a video;
- `a.mp4#1`: the second of several people;
- `a.mp4@view1`, `a.mp4#1@blend2`: a view of either, for training only.

A video whose own name ends like this is refused (`datasets.VideoItem`).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from itertools import count

from deepfake_seq.config import VIEW_KINDS

VIEW_FACT = "view"
"""Name of the fact that marks a record as a view: its kind, number, clip and settings."""

CNN_SPLIT_FACT = "cnn_part"
"""Name of the fact with the split in which a finetuned CNN has seen the clip."""

CONDITIONS_FACT = "conditions"
"""Name of the fact with the recording conditions of a clip; see `extract.faces.conditions`."""

_VIEW_SUFFIX = rf"@(?:{'|'.join(VIEW_KINDS)})\d+"
# Also matches a person of a video that is named like a view: `a@view1#0`.
_VIEW = re.compile(rf"{_VIEW_SUFFIX}(?:#\d+)?$")
_PERSON = re.compile(rf"(#\d+)(?:{_VIEW_SUFFIX})?$")


def record_id(video_id: str, person: int | None) -> str:
    """Return the id of a person's record.

    Args:
        video_id: Id of the video.
        person: Number of the person, from 0; None if the video has a record of one person only.
    """
    return video_id if person is None else f"{video_id}#{person}"


def view_id(clip_id: str, kind: str, number: int) -> str:
    """Return the record id of a view.

    Args:
        clip_id: Id of the record that the view is made from.
        kind: One of `config.VIEW_KINDS`.
        number: Number of the view among the views of its kind, from 1.
    """
    return f"{clip_id}@{kind}{number}"


def is_view_id(record_id: str) -> bool:
    """Return whether an id belongs to a view."""
    return _VIEW.search(record_id) is not None


def clip_id_of(record_id: str) -> str:
    """Return the id of a view's clip; the id itself if it does not belong to a view.

    >>> clip_id_of("a.mp4#0@view1")
    'a.mp4#0'
    """
    return _VIEW.sub("", record_id)


def person_of(record_id: str) -> str:
    """Return the person suffix of a clip's or view's id, such as `#0`; "" if there is none.

    >>> person_of("a.mp4#0@view1")
    '#0'
    """
    match = _PERSON.search(record_id)
    return match[1] if match else ""


def video_of(record_id: str) -> str:
    """Return the id of the video that a record was made from.

    >>> video_of("a.mp4#0@view1")
    'a.mp4'
    """
    if "#" not in record_id and "@" not in record_id:  # saves time in large stores
        return record_id
    clip_id = clip_id_of(record_id)
    return clip_id.removesuffix(person_of(clip_id))


def people_in(
    store: Container[str], video_id: str, everyone: bool, start: int = 0
) -> Iterator[str]:
    """Yield the ids of the records of a video's people that are in a store.

    Args:
        store: The store, or a collection of record ids.
        video_id: Id of the video.
        everyone: Whether each person has a record, instead of only the main person.
        start: Number of the person to start with.
    """
    if not everyone:
        if not start and video_id in store:
            yield video_id
        return
    for number in count(start):
        if (name := record_id(video_id, number)) not in store:
            return
        yield name


def views_in(store: Container[str], clip_id: str) -> Iterator[str]:
    """Yield the ids of the views of a clip that are in a store."""
    for kind in VIEW_KINDS:
        for number in count(1):
            if (name := view_id(clip_id, kind, number)) not in store:
                break
            yield name
