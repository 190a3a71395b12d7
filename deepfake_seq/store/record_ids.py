"""What the records of a video are called: of its people, and of views of them."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from itertools import count

from deepfake_seq.config import VIEW_KINDS

_PERSON = re.compile(r"#\d+$")


def record_id(video_id: str, number: int | None) -> str:
    """What the record of a video's person is called, or of the video where there is one alone."""
    return video_id if number is None else f"{video_id}#{number}"


def view_id(record: str, kind: str, number: int) -> str:
    """What a view of a person, or of a video, is called; `number` counts from 1."""
    return f"{record}@{kind}{number}"


def person_of(record: str) -> str:
    """`#0`, `#1` … where a record is of one of several people, or ""."""
    person = _PERSON.search(record)
    return person[0] if person else ""


def people_in(
    store: Container[str], video_id: str, everyone: bool, start: int = 0
) -> Iterator[str]:
    """The names of the records of a video's people that are in a store.

    Args:
        store: Knows which there are.
        video_id: The video.
        everyone: Whether each person has a record.
        start: With which person to begin.
    """
    if not everyone:
        if not start and video_id in store:
            yield video_id
        return
    for number in count(start):
        if (name := record_id(video_id, number)) not in store:
            return
        yield name


def views_in(store: Container[str], record: str) -> Iterator[str]:
    """The names of the views of a record that are in a store."""
    for kind in VIEW_KINDS:
        for number in count(1):
            if (name := view_id(record, kind, number)) not in store:
                break
            yield name
