"""Ids of records of people and views."""

from __future__ import annotations

import pytest

from deepfake_seq.store.record_ids import (
    clip_id_of,
    is_view_id,
    people_in,
    person_of,
    record_id,
    view_id,
    views_in,
)


@pytest.mark.parametrize("person", [None, 0, 12])
@pytest.mark.parametrize("kind", ["view", "blend"])
def test_the_parts_of_an_id_can_be_read_back(person: int | None, kind: str) -> None:
    clip_id = record_id("real/a.mp4", person)
    suffix = "" if person is None else f"#{person}"
    assert not is_view_id(clip_id)
    assert clip_id_of(clip_id) == clip_id
    view = view_id(clip_id, kind, 3)
    assert view == f"real/a.mp4{suffix}@{kind}3"
    assert is_view_id(view)
    assert clip_id_of(view) == clip_id
    assert person_of(view) == person_of(clip_id) == suffix


def test_people_and_views_are_listed_until_the_first_gap() -> None:
    store = {"a", "a#0", "a#1", "a#3", "a#0@view1", "a#0@view3", "a#0@blend1"}
    assert list(people_in(store, "a", everyone=False)) == ["a"]
    assert list(people_in(store, "a", everyone=True)) == ["a#0", "a#1"]
    assert list(people_in(store, "a", everyone=True, start=1)) == ["a#1"]
    assert list(views_in(store, "a#0")) == ["a#0@view1", "a#0@blend1"]
